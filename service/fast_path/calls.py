"""The shortest way to an answer, for a request that is small and there whole.

Most are, as soon as they are seen. They need no task, no coroutine and no ASGI messages,
which together cost as much as decoding a digit (docs/decisions/0008). This path knows success alone.
Whatever else may become of a request (it is unusual, refused, late, or fails) is left to ASGI, which meets
it as if it had just come: so every error has one place.
"""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from starlette.types import Scope

from service.endpoints.endpoint import Endpoint
from service.errors import Overloaded, PayloadTooLarge, ServiceError
from service.http.middleware import CLIENT_CLOSED_REQUEST, Entry, Ledger
from service.request_id import new_request_id, request_id_of
from service.serving.call import Admitted, Backend
from service.serving.job import Answer, Job, Rows
from service.serving.served import Served

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Of outputs: what is written at once takes a fraction of a millisecond.
MOST_VALUES = 1024


class Reply(NamedTuple):
    """An answer, 200: its body, and what its head says beside the length."""

    content_type: bytes
    server_timing: bytes
    body: bytes
    more_fields: Sequence[tuple[bytes, bytes]] = ()


# The answer, and the request's id. Or None: the request is left to ASGI.
Written = tuple[Reply, bytes]
OnDone = Callable[[Written | None], None]


class FastCall(Admitted, ABC):
    """One request under way. How it is read and told is of the kind of request."""

    __slots__ = ("_headers", "_job", "_ledger", "_on_done", "_over", "_started", "body")

    def __init__(
        self,
        scope: Scope,
        fields: Mapping[bytes, bytes],
        body: bytes,
        on_done: OnDone,
        served: Served,
        backend: Backend,
        ledger: Ledger,
    ) -> None:
        """Raises PayloadTooLarge, Overloaded or InvalidInput."""
        self._started = time.perf_counter()
        self._headers = fields
        if len(body) > backend.max_body_bytes:
            raise PayloadTooLarge("")
        super().__init__(scope, self._headers, served, backend)
        try:
            backend.pending_bytes.admit(len(body))
        except Overloaded:
            self.release()
            raise
        self.body = body
        self._ledger = ledger
        self._on_done = on_done
        self._job: Job | None = None
        self._over = False

    @property
    def content_type(self) -> str:
        return self._headers.get(b"content-type", b"").decode("latin-1")

    @staticmethod
    @abstractmethod
    def read(endpoint: Endpoint, calls: "Sequence[Any]") -> Sequence[Any]:
        """Read all that came together, as `_rows_in` takes each of them. Raises ServiceError."""

    @abstractmethod
    def _rows_in(self, read: Any) -> Rows | None:
        """The rows of the request, admitted; None where reading them may take long. Raises ServiceError."""

    @abstractmethod
    def _reply(self, answer: Answer) -> Reply:
        """Raises ServiceError."""

    def decode(self, read: Any) -> None:
        """Have it answered by the next batch. `read`: as `read` has it, or None if that failed."""
        if self._over:
            return
        rows = None if read is None else attempt(self._rows_in, read)
        if rows is None or len(rows) * math.prod(self.served.manifest.output.row_shape) > MOST_VALUES:
            self._leave_to_asgi()
            return
        self._job = self.served.batcher.submit(rows, self._on_answer, self.expires_at)
        self.backend.deadlines.watch(self)

    def look(self, now: float) -> None:
        if self.expires_at <= now:
            self._leave_to_asgi()  # with its deadline

    def abandon(self) -> None:
        """The client has gone: what still waits is not computed."""
        if not self._over:
            self._end()
            self._name()
            self._ledger.record(self._entry(CLIENT_CLOSED_REQUEST, "abandoned"))

    def _on_answer(self, answer: Answer | ServiceError) -> None:
        written = None if isinstance(answer, ServiceError) else attempt(self._written, answer)
        if written:
            self._end()
            self._on_done(written)
        else:
            self._leave_to_asgi()

    def _written(self, answer: Answer) -> Written:
        reply = self._reply(answer)
        request_id = self._name()
        self._ledger.record_soon(self._entry(200))
        return reply, request_id.encode()

    def _leave_to_asgi(self) -> None:
        self._end()
        self._on_done(None)

    def _end(self) -> None:
        self._over = True
        if self._job:
            self._job.drop()
            self.backend.deadlines.dismiss(self)
        self.release()
        self.backend.pending_bytes.release(len(self.body))

    def _name(self) -> str:
        """Returns the request's id."""
        if b"x-request-id" in self._headers or "request_id" in self.scope["state"]:
            return request_id_of(self.scope)
        request_id = self.scope["state"]["request_id"] = new_request_id()
        return request_id

    def _entry(self, status: int, reason: str | None = None) -> Entry:
        return Entry(self.scope, status, reason, time.perf_counter() - self._started)


def attempt(function: Callable[..., T], *arguments: object) -> T | None:
    """What `function` returns, or None where it fails: ASGI meets the cause again, and answers it."""
    try:
        return function(*arguments)
    except ServiceError:
        return None
    except Exception as error:  # whatever it is: ASGI meets it again, and middleware's last net answers
        logger.warning("left to ASGI: %r", error)
        return None
