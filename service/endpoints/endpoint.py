"""What every kind of endpoint has: how a request is read, and how what the model says of it is answered.

One is made for one manifest, from which it takes all that it knows of the model. `kinds` has the kinds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from service.artifacts.manifest import Manifest
from service.serving.body import RawRequest
from service.serving.call import Admitted, Call
from service.serving.job import Answer, Rows


class Decoded(NamedTuple):
    """A request, decoded: rows for the model, and what is answered to its outputs for some of them."""

    rows: Rows
    many: bool
    results: Callable[[Answer, slice], list[dict[str, Any]]]
    decode_s: float


class Operation(NamedTuple):
    """What OpenAPI says of it: `requests` by media type; the answers to one and to several."""

    summary: str
    description: str
    requests: dict[str, Any]
    result: dict[str, Any]
    query: Sequence[dict[str, Any]] = ()


class Endpoint(ABC):
    """How one version of one model is asked.

    `batch_rows`: the most of one batch. `full_rows`: how many count as one where permits are limited.
    """

    batch_rows: int
    full_rows: int
    max_body_bytes: int

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def read(self, requests: Sequence[RawRequest]) -> Sequence[Any]:
        """Requests that are there whole, all that came at once; as `decode` takes each of them.

        None for one that needs more than a moment: `answer` has it then.
        """
        return [None] * len(requests)

    def decode(self, call: Admitted, read: Any) -> Decoded | None:
        """One of them, admitted; None where that may take long. Raises ServiceError."""
        del call, read
        return None

    @abstractmethod
    async def answer(self, call: Call) -> Response:
        """A request as ASGI has it. Raises ServiceError, Abandoned or ClientDisconnect."""

    @abstractmethod
    def operation(self) -> Operation:
        """For OpenAPI."""
