"""What is under test: a server, one of its models, and inputs that the model takes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from conformance.client import Answer, Client, encode, model_path
from conformance.datatypes import JSON_CANNOT
from conformance.replies import Reply, read
from conformance.row import Failed, Skipped
from conformance.samples import candidates
from conformance.tensors import Described, Tensor, described

NOBODY = "no-such-model-7f3a"
NO_VERSION = "987654321"


class Outputs(Protocol):
    """What was answered, over REST or gRPC."""

    outputs: dict[str, Tensor]


class NoModel(Exception):
    """There is no such model, or its metadata cannot be used."""


class Sampled:
    """Has inputs that its model takes, once they are found."""

    _sample: tuple[Tensor, ...] | None

    @property
    def sample(self) -> tuple[Tensor, ...]:
        """Inputs that the model takes. Raises Skipped where none were found."""
        if not self._sample:
            raise Skipped("no valid request is known; --sample gives one")
        return self._sample


@dataclass
class Subject(Sampled):
    """Rows ask through it; it keeps the replies, for the rows on their form."""

    client: Client
    model: str
    metadata: dict[str, Any]
    extensions: frozenset[str]
    given: tuple[Tensor, ...] = ()
    replies: list[Reply] = field(default_factory=list)
    _sample: tuple[Tensor, ...] | None = None
    _reference: Reply | None = None
    _binary: Answer | None = None

    @property
    def path(self) -> str:
        return model_path(self.model)

    @property
    def inputs(self) -> tuple[Described, ...]:
        return described(self.metadata.get("inputs"))

    @property
    def outputs(self) -> tuple[Described, ...]:
        return described(self.metadata.get("outputs"))

    @property
    def versions(self) -> list[str]:
        found = self.metadata.get("versions")
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []

    @property
    def known_sample(self) -> tuple[Tensor, ...]:
        """The sample, or nothing where none was found."""
        return self._sample or ()

    @property
    def json_sample(self) -> tuple[Tensor, ...]:
        """The sample. Raises Skipped where a datatype of it has no form in JSON."""
        if JSON_CANNOT & {each.datatype for each in self.sample}:
            raise Skipped("a datatype of the inputs has no form in JSON")
        return self.sample

    @property
    def reference(self) -> Reply:
        """What is answered to the sample in JSON. Raises Skipped where nothing is."""
        if self._reference is None:
            raise Skipped("no valid request in JSON is answered")
        return self._reference

    def find_sample(self) -> Answer | None:
        """Ask with what may be right until something is answered; the first refusal where nothing is."""
        refused: Answer | None = None
        for inputs in [self.given] if self.given else candidates(self.inputs):
            as_json = not JSON_CANNOT & {each.datatype for each in inputs}
            answer = self.post(request(inputs)) if as_json else self.post_binary(inputs)
            if answer.status == 200:
                self._sample = inputs
                if as_json:
                    self._reference = self.reply(answer)
                return None
            refused = refused or answer
            if as_json and self.post_binary(inputs).status == 200:
                self._sample = inputs
                return answer
        return refused

    def post(
        self,
        document: Any,
        tail: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        path: str | None = None,
    ) -> Answer:
        """Ask for an inference; `headers` replace those that go with the body, None takes one away."""
        own, content = encode(document, tail)
        return self.post_octets(content, {**own, **(headers or {})}, path)

    def post_octets(
        self, content: bytes, headers: Mapping[str, str | None], path: str | None = None
    ) -> Answer:
        kept = {name: value for name, value in headers.items() if value is not None}
        return self.client.ask("POST", f"{path or self.path}/infer", kept, content)

    def post_binary(
        self, inputs: Sequence[Tensor], headers: Mapping[str, str | None] | None = None, **keys: Any
    ) -> Answer:
        """All inputs behind the JSON, and all outputs asked for there, as the reference client does."""
        keys = keys or {"parameters": {"binary_data_output": True}}
        return self.post(binary_request(inputs, **keys), tail_of(inputs), headers)

    def ask_sample(self) -> Reply:
        """The valid request once more, in the form that is answered. Raises Failed."""
        asked = (
            self.post_binary(self.sample) if self._reference is None else self.post(request(self.sample))
        )
        return self.reply(asked)

    def reply(self, answer: Answer) -> Reply:
        """Read it, and keep it. Raises Failed."""
        reply = read(answer)
        self.replies.append(reply)
        return reply

    def needs_binary(self) -> None:
        """Raises Skipped where the reference client's default call is refused, which is a row's matter."""
        if self._binary is None:
            self._binary = self.post_binary(self.sample)
        if self._binary.status != 200:
            raise Skipped(f"binary tensors are refused: {self._binary.status}")

    def needs(self, extension: str) -> None:
        if extension not in self.extensions:
            raise Skipped(f"{extension} is not among the server's extensions")

    def needs_required(self, sample: Sequence[Tensor]) -> list[int]:
        """Which of them may be missing in no request, as far as is said: by the model's configuration.

        Raises Skipped where all may be.
        """
        try:
            found = self.client.get(f"{self.path}/config").document().get("input")
        except Failed:
            found = None
        entries = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        optional = {each.get("name") for each in entries if each.get("optional") is True}
        required = [at for at, tensor in enumerate(sample) if tensor.name not in optional]
        if not required:
            raise Skipped("the configuration says that every input is optional")
        return required

    def needs_version(self) -> str:
        if not self.versions:
            raise Skipped("the metadata lists no versions")
        return self.versions[-1]

    def needs_batches(self) -> None:
        if not all(each.shape and each.shape[0] == -1 for each in self.inputs):
            raise Skipped("the first dimension is not of any size")

    def same(self, reply: Reply, names: Sequence[str] | None = None) -> None:
        """Raises Failed where the values are others than the reference's."""
        for name in names if names is not None else self.reference.outputs:
            same_values(reply, self.reference.outputs[name])


def same_values(reply: Outputs, expected: Tensor) -> None:
    """Raises Failed where the output of its name holds others."""
    found = reply.outputs.get(expected.name)
    if found is None:
        raise Failed(f"the output {expected.name} is missing")
    if len(found.values) != len(expected.values):
        raise Failed(f"{expected.name} has {len(found.values)} elements instead of {len(expected.values)}")
    for one, other in zip(found.values, expected.values, strict=True):
        if not _alike(one, other):
            raise Failed(f"{expected.name} holds {one!r} instead of {other!r}")


def request(inputs: Sequence[Tensor], **keys: Any) -> dict[str, Any]:
    """All of it in JSON."""
    return {"inputs": [each.entry() for each in inputs], **keys}


def binary_request(inputs: Sequence[Tensor], **keys: Any) -> dict[str, Any]:
    return {"inputs": [each.binary_entry() for each in inputs], **keys}


def tail_of(inputs: Sequence[Tensor]) -> bytes:
    return b"".join(each.octets for each in inputs)


def instead(inputs: Sequence[Tensor], first: dict[str, Any]) -> dict[str, Any]:
    """The request with other members in its first input; None takes one away."""
    document = request(inputs)
    entry = {**document["inputs"][0], **first}
    document["inputs"][0] = {name: value for name, value in entry.items() if value is not None}
    return document


def meet(client: Client, model: str | None, given: tuple[Tensor, ...] = ()) -> Subject:
    """Read what the server says of itself and of the model. Raises NoModel."""
    try:
        name = model or _first_model(client)
        metadata = client.get(model_path(name)).document()
    except Failed as failure:
        raise NoModel(str(failure)) from failure
    server = client.get("/v2")
    try:
        extensions = server.document().get("extensions")
    except Failed:
        extensions = None
    known = frozenset(each for each in extensions or () if isinstance(each, str))
    return Subject(client, name, metadata, known, given)


def _first_model(client: Client) -> str:
    entries = client.ask("POST", "/v2/repository/index", content=b"{}").any_json()
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("state", "READY") == "READY":
            return str(entry.get("name"))
    raise Failed("the server lists no model that is ready; name one with --model")


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-5)
    return bool(one == other)
