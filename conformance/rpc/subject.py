"""What is under test over gRPC: the model that was met over REST, with inputs that it takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.datatypes import JSON_CANNOT
from conformance.row import Failed, Skipped
from conformance.rpc.channel import Channel, Code, Outcome
from conformance.rpc.tensors import RpcReply, raw_request, read, typed_request
from conformance.samples import candidates
from conformance.subject import Sampled, Subject, same_values
from conformance.tensors import Tensor


@dataclass
class RpcSubject(Sampled):
    """Rows ask through it; it keeps the replies, for the rows on their form."""

    channel: Channel
    rest: Subject
    replies: list[RpcReply] = field(default_factory=list)
    _sample: tuple[Tensor, ...] | None = None
    _reference: RpcReply | None = None
    _raw: bool = True

    @property
    def model(self) -> str:
        return self.rest.model

    @property
    def typed_sample(self) -> tuple[Tensor, ...]:
        """The same. Raises Skipped where a datatype of it has no contents."""
        if JSON_CANNOT & {each.datatype for each in self.sample}:
            raise Skipped("a datatype of the inputs has no contents but octets")
        return self.sample

    @property
    def reference(self) -> RpcReply:
        """What is answered to them."""
        if self._reference is None:
            raise Skipped("no valid request is answered")
        return self._reference

    def find_sample(self) -> Outcome | None:
        """Ask with what may be right until something is answered; the first refusal where nothing is.

        What was right over REST comes first.
        """
        refused: Outcome | None = None
        given = self.rest.given or self.rest.known_sample
        for inputs in [given] if given else candidates(self.rest.inputs):
            for raw in (True, False):
                if not raw and JSON_CANNOT & {each.datatype for each in inputs}:
                    continue
                outcome = self.infer(inputs, raw)
                if outcome.code is Code.OK:
                    self._sample, self._raw = inputs, raw
                    self._reference = self.reply(outcome)
                    return None
                refused = refused or outcome
        return refused

    def request(self, inputs: Sequence[Tensor] | None = None, **fields: Any) -> Any:
        """Of the sample, or of other inputs, in the form that is answered."""
        make = raw_request if self._raw else typed_request
        return make(self.model, self.sample if inputs is None else inputs, **fields)

    def infer(self, inputs: Sequence[Tensor], raw: bool, **fields: Any) -> Outcome:
        make = raw_request if raw else typed_request
        return self.ask(make(self.model, inputs, **fields))

    def ask(self, request: Any, timeout_s: float | None = None) -> Outcome:
        return self.channel.send("ModelInfer", request, timeout_s)

    def ask_sample(self, **fields: Any) -> RpcReply:
        """The valid request once more, with other fields. Raises Failed."""
        return self.reply(self.ask(self.request(**fields)))

    def reply(self, outcome: Outcome) -> RpcReply:
        """Read it, and keep it. Raises Failed."""
        reply = read(outcome.ok())
        self.replies.append(reply)
        return reply

    def needs_form(self, raw: bool) -> None:
        """Raises Skipped where such contents are refused, which is a row's matter."""
        sample = self.sample if raw else self.typed_sample
        if self.infer(sample, raw).code is not Code.OK:
            raise Skipped(f"{'raw' if raw else 'typed'} contents are refused")

    def same(self, reply: RpcReply, names: Sequence[str] | None = None) -> None:
        """Raises Failed where the values are others than the reference's."""
        for name in names if names is not None else self.reference.outputs:
            same_values(reply, self.reference.outputs[name])


def refused_with(outcome: Outcome, code: Any) -> None:
    """Raises Failed where the call ended otherwise."""
    if outcome.code is not code:
        raise Failed(f"answered {outcome.in_short}")
