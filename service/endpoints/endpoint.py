"""What every kind of endpoint has: how a request is read, and how what the model says of it is answered.

One is made for one manifest, from which it takes all that it knows of the model. `kinds` has the kinds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from service.artifacts.manifest import Manifest
from service.engine.tensors import decode_tensor
from service.serving.body import RawRequest
from service.serving.call import Admitted, Call
from service.serving.job import Answer, Rows

Results = Callable[[Answer, slice], list[dict[str, Any]]]


class Decoded(NamedTuple):
    """A decoded request: rows for the model, and how outputs for a slice of them become answers."""

    rows: Rows
    many: bool
    results: Results
    decode_s: float


class Known(NamedTuple):
    """An example for OpenAPI: what is answered to rows of the check, under the name of that request."""

    name: str
    summary: str
    decoded: Decoded
    answer: Answer


class Operation(NamedTuple):
    """What OpenAPI says of it: `requests` by media type; an answer to one; answers that are known."""

    summary: str
    description: str
    requests: dict[str, Any]
    result: dict[str, Any]
    known: Sequence[Known]
    query: Sequence[dict[str, Any]] = ()


class Endpoint(ABC):
    """How one version of one model is asked.

    `batch_rows`: the most rows of a batch. `full_rows`: how many count as a full one where permits do.
    """

    batch_rows: int
    full_rows: int
    max_body_bytes: int

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def read(self, requests: Sequence[RawRequest]) -> Sequence[Any]:
        """Read all requests that came together, each of them whole, as `decode` takes them.

        None for one that takes more than a moment: it is left to `answer`.
        """
        return [None] * len(requests)

    def decode(self, call: Admitted, read: Any) -> Decoded | None:
        """Decode and admit one of them; None where that may take long. Raises ServiceError."""
        del call, read
        return None

    @abstractmethod
    async def answer(self, call: Call) -> Response:
        """A request as ASGI has it. Raises ServiceError, Abandoned or ClientDisconnect."""

    def known(self, name: str, summary: str, decoded: Decoded) -> Known:
        """`decoded`: the first rows of the check."""
        outputs = decode_tensor(self.manifest.check.outputs)[: len(decoded.rows)].numpy()
        return Known(name, summary, decoded, Answer(outputs, self.manifest, queue_s=0, infer_s=0))

    @abstractmethod
    def operation(self) -> Operation:
        """What OpenAPI says of this model."""
