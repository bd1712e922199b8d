"""One request to a model while it is under way: its body, its time, and the places it takes up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope

from service.admission import Admission
from service.batching import Answer, Batcher, Rows
from service.body import Body
from service.errors import DeadlineExceeded, FieldError, InvalidInput, RequestTimeout
from service.metrics import Metrics
from service.registry import Registry


@dataclass(frozen=True, slots=True)
class Backend:
    """What the endpoints stand on; `create_app` puts it on the application's state.

    `batchers` has those of the live versions, and changes when they do; `places` outlive them.
    """

    registry: Registry
    batchers: Mapping[str, Batcher]
    places: Mapping[str, Admission]
    pending_bytes: Admission
    metrics: Metrics
    max_body_bytes: int
    max_image_pixels: int
    request_timeout_s: float


class Call:
    """A request to one model, from its headers to its answer."""

    __slots__ = ("_places", "_rows", "backend", "body", "expires_at", "model", "scope")

    def __init__(self, scope: Scope, receive: Receive, model: str, backend: Backend) -> None:
        """Raises NotReady or Overloaded, before a body is read, or InvalidInput."""
        backend.registry.get(model)
        places = backend.places[model]
        places.check()
        self.model = model
        self.backend = backend
        self.scope = scope
        self.body = Body(scope, receive, backend.max_body_bytes, backend.pending_bytes)
        timeout_s = _timeout_s(self.body.headers, backend.request_timeout_s)
        self.expires_at = time.monotonic() + timeout_s  # which is the event loop's clock
        self._places = places
        self._rows = 0

    async def answered(self, answer: "Callable[[Call], Awaitable[Response]]") -> Response:
        """`answer`, cut off when its time is over; what it was admitted to is given back in any case.

        Raises RequestTimeout, DeadlineExceeded, or what `answer` raises.
        """
        try:
            async with asyncio.timeout_at(self.expires_at):
                return await answer(self)
        except TimeoutError:
            if self.body.complete:
                raise DeadlineExceeded(
                    "The time for this request was over before its answer was there."
                ) from None
            raise RequestTimeout("The time for this request was over before its body had come.") from None
        finally:
            self.body.forget()
            self._places.release(self._rows)

    def admit(self, rows: int) -> None:
        """Take places for all rows of this request. Raises Overloaded."""
        self._places.admit(rows)
        self._rows = rows

    async def predict(self, rows: Rows) -> Answer:
        """Raises InferenceFailed or Abandoned."""
        batcher = self.backend.batchers[self.model]
        return await batcher.predict(rows, self.body.abandoned, self.expires_at)

    def record(self, served_by: Mapping[str, str | int], stages: Mapping[str, float]) -> None:
        """For the metrics, the log and the trace: which version answered, and the seconds of each stage."""
        for stage, seconds in stages.items():
            self.backend.metrics.stages(self.model, stage).observe(seconds)
        self.scope["state"]["prediction"] = served_by, stages, time.time_ns()


def _timeout_s(headers: Mapping[bytes, bytes], at_most: float) -> float:
    """What the client asks for in `X-Request-Timeout-Ms`, as far as we go along. Raises InvalidInput."""
    asked = headers.get(b"x-request-timeout-ms")
    if asked is None:
        return at_most
    if not (asked.isdigit() and len(asked) <= 9 and int(asked)):
        message = "must be a whole number of milliseconds, at least 1"
        raise InvalidInput(
            f"The header X-Request-Timeout-Ms {message}.", (FieldError("X-Request-Timeout-Ms", message),)
        )
    return min(at_most, int(asked) / 1000)
