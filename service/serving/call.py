"""One request to a model while it is under way: its body, its time, and the permits it takes up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope

from service.artifacts.interface import PictureInput
from service.decoding.pool import Decoding
from service.errors import DeadlineExceeded, FieldError, InvalidInput, RequestTimeout
from service.pictures.images import Finding, Upload
from service.serving.admission import Admission
from service.serving.body import LEAST_BYTES, PATIENCE_S, Body
from service.serving.deadlines import Deadlines
from service.serving.job import Answer, Rows
from service.serving.loading import Repository
from service.serving.metrics import Metrics
from service.serving.registry import Registry
from service.serving.served import Served
from service.serving.steps import Stepping, Steps, taken

T = TypeVar("T")

ServedBy = Mapping[str, str | int]
Prediction = tuple[ServedBy, Mapping[str, float], int]  # and the seconds of each stage; when, in ns

INLINE_BYTES = 16 * 1024  # of a document: less holds nobody up

MOST_DIGITS = 15  # of milliseconds: more are longer than any limit, and are not read


class Abandoned(Exception):
    """The client has gone: nobody waits for this answer."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What the endpoints stand on; `lifespan` puts it on the application's state.

    Large documents are read and written by `documents`, step by step; pictures are read by `decoding`.
    """

    registry: Registry
    documents: Stepping
    decoding: Decoding
    pending_bytes: Admission
    deadlines: Deadlines
    metrics: Metrics
    max_body_bytes: int
    max_image_pixels: int
    request_timeout_s: float
    repository: Repository | None = None

    def served(self, name: str, version: str | None = None) -> Served:
        """What is live of a model, or a version of it that is loaded.

        Raises UnknownModel, UnknownVersion or NotReady.
        """
        return self.registry.get(name) if version is None else self.registry.version(name, version)


class Admitted:
    """A request to one model that was let in: the version that answers it, its permits, its deadline.

    `served` answers it whatever becomes live meanwhile, and is not closed before `release`. `expires_at` is
    in the event loop's time and kept in the request's state: it holds for whoever takes the request over.
    """

    __slots__ = ("_answer_bytes", "_permits", "_rows", "backend", "expires_at", "scope", "served")

    # So many turns of the event loop may lie between requests that come together.
    turns = 0

    def __init__(
        self, scope: Scope, headers: Mapping[bytes, bytes], served: Served, backend: Backend
    ) -> None:
        """Raises Overloaded, before a body is read, or InvalidInput."""
        self.served = served
        self.backend = backend
        self.scope = scope
        self._permits = self.served.permits
        self._permits.check()
        self._rows = self._answer_bytes = 0
        expires_at: float | None = scope["state"].get("expires_at")
        if expires_at is None:
            expires_at = time.monotonic() + _timeout_s(headers, backend.request_timeout_s)
            scope["state"]["expires_at"] = expires_at
        self.expires_at = expires_at
        self.served.users += 1

    def admit(self, rows: int) -> None:
        """Take permits for all rows of this request, or all there are. Raises Overloaded."""
        rows = min(rows, self._permits.limit)  # else a request larger than that could never be answered
        self._permits.admit(rows, rows)
        self._rows = rows

    def admit_more(self, rows: int) -> None:
        """Take permits for rows that turn up later, at most half of all there are: others hold some, too.

        Raises Overloaded.
        """
        rows = min(rows, self._permits.limit // 2)
        self._permits.admit(rows, rows)
        self._rows += rows

    def admit_answer(self, more: int) -> None:
        """Take room for `more` bytes of the answer that is being written.

        It has half of that of all bodies at most: more could hardly ever be had.
        Raises InvalidInput or Overloaded.
        """
        pending = self.backend.pending_bytes
        size, limit = self._answer_bytes + more, pending.limit // 2
        if size > limit:
            raise InvalidInput(f"The answer has more than {limit:,} bytes: ask about fewer rows at a time.")
        pending.admit(more, size)
        self._answer_bytes = size

    def hurry(self, seconds: float) -> None:
        """Shorten its time to so many seconds from now."""
        self.expires_at = min(self.expires_at, time.monotonic() + seconds)
        self.scope["state"]["expires_at"] = self.expires_at

    async def predict(self, rows: Rows) -> Answer:
        """Raises InferenceFailed."""
        return await self.served.batcher.predict(rows, self.expires_at, self.turns)

    async def take(self, steps: "Steps[T]", size: int | None = None) -> "T":
        """Take all steps, with turns for others in between, and return what they return.

        `size`: how many bytes they work on; few are worked on in one go.
        """
        if size is not None and size <= INLINE_BYTES:
            return taken(steps)
        return await self.backend.documents.take(steps)

    async def find(
        self, uploads: Sequence[Upload], rows: PictureInput, each: bool = False
    ) -> list[Finding]:
        """Have pictures decoded for a model that takes such `rows`, in turn with those of other callers.

        `each`: every digit on them. Raises ServiceError.
        """
        caller = self.scope["state"].get("caller") or (self.scope["client"] or ("",))[0]
        return await self.backend.decoding.find(uploads, caller, rows, each)

    def release(self) -> None:
        """Give the permits back, once it is over: it asks for nothing more."""
        self._permits.release(self._rows)
        self.backend.pending_bytes.release(self._answer_bytes)
        self._rows = self._answer_bytes = 0
        self.served.users -= 1

    def record(self, served_by: ServedBy, stages: Mapping[str, float]) -> None:
        """Note for metrics, log and trace which version answered, and the seconds of each stage."""
        prediction: Prediction = served_by, stages, time.time_ns()
        self.scope["state"]["prediction"] = prediction


class Call(Admitted):
    """A request to one model, from its headers to its answer, as ASGI has it."""

    __slots__ = ("_cut_off", "_task", "body")

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        served: Served,
        backend: Backend,
        max_body_bytes: int,
        codings: Sequence[str] = (),
    ) -> None:
        """Raises Overloaded or UnsupportedCoding, before a body is read, or InvalidInput."""
        max_bytes = min(max_body_bytes, backend.max_body_bytes)
        self.body = Body(scope, receive, max_bytes, backend.pending_bytes, codings)
        super().__init__(scope, self.body.headers, served, backend)
        self._task: asyncio.Task[Any] | None = None
        self._cut_off: Exception | None = None

    async def answered(self, answer: "Callable[[Call], Awaitable[Response]]") -> Response:
        """Have it answered, under watch; its permits are given back in any case.

        Raises RequestTimeout, DeadlineExceeded, Abandoned, or what `answer` raises.
        """
        task = self._task = asyncio.current_task()
        self.backend.deadlines.watch(self)
        try:
            return await answer(self)
        except asyncio.CancelledError:
            if not (task and self._cut_off):
                raise
            task.uncancel()  # as asyncio.timeout does
            raise self._cut_off from None
        finally:
            self.backend.deadlines.dismiss(self)
            self.body.forget()
            self.release()

    def look(self, now: float) -> None:
        """Cut it off when its time is over or nobody waits for it any longer."""
        if self._cut_off:
            return  # and does not know it yet
        if self.expires_at <= now:
            over = "The time for this request was over before "
            if self.body.complete:
                self._cut_off = DeadlineExceeded(over + "its answer was there.")
            else:
                self._cut_off = RequestTimeout(over + "its body had come.")
        elif self.body.complete:
            self._cut_off = Abandoned() if self.body.abandoned() else None
        elif self.body.stalls(now):
            self._cut_off = RequestTimeout(
                f"The body came too slowly: less than {LEAST_BYTES:,} bytes in {PATIENCE_S:g} seconds."
            )
        if self._cut_off and self._task:
            self._task.cancel()


def _timeout_s(headers: Mapping[bytes, bytes], at_most: float) -> float:
    """What the client asks for in `X-Request-Timeout-Ms`, as far as we go along. Raises InvalidInput."""
    asked = headers.get(b"x-request-timeout-ms")
    if asked is None:
        return at_most
    digits = asked.lstrip(b"0")
    if not (asked.isdigit() and digits):
        message = "must be a whole number of milliseconds, at least 1"
        raise InvalidInput(
            f"The header X-Request-Timeout-Ms {message}.", (FieldError("X-Request-Timeout-Ms", message),)
        )
    return min(at_most, int(digits) / 1000) if len(digits) <= MOST_DIGITS else at_most
