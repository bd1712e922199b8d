"""The shortest way to an answer, for a request that is small and there whole.

Most are, as soon as they are seen. They need no task, no coroutine and no ASGI messages,
which together cost as much as decoding a digit (docs/decisions/0008). This way knows success alone.
Whatever else may become of a request (it is unusual, refused, late, or fails) is left to ASGI, which meets
it as if it had just come: so every error has one place.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.types import Scope

from service.endpoints.predict import Ask, Read, respond
from service.endpoints.questions import Question, Whole
from service.errors import Overloaded, PayloadTooLarge, ServiceError
from service.http.auth import check
from service.http.keys import KeyFile
from service.http.middleware import CLIENT_CLOSED_REQUEST, Entry, Ledger, request_id_of
from service.problems import new_request_id
from service.serving.call import Admitted, Backend
from service.serving.job import Answer, Job

logger = logging.getLogger(__name__)

T = TypeVar("T")

# The answer: the fields of its head, and its body. Or None: the request is left to ASGI.
Written = tuple[bytes, bytes]
OnDone = Callable[[Written | None], None]

_FIELDS = (
    b"content-type: application/json\r\ncontent-length: %d\r\nserver-timing: %b\r\nx-request-id: %b\r\n"
)


class DirectWay:
    """The way to one endpoint; with `keys`, for those who show one."""

    def __init__(
        self,
        model: str,
        read: Read,
        ask: Ask,
        backend: Callable[[], Backend],
        ledger: Ledger,
        keys: KeyFile | None,
    ) -> None:
        self._model = model
        self._read = read
        self._ask = ask
        self._backend = backend
        self._ledger = ledger
        self._keys = keys
        self._arrived: list[DirectCall] = []

    def begin(
        self, scope: Scope, fields: Mapping[bytes, bytes], body: bytes, on_done: OnDone
    ) -> "DirectCall | None":
        """Begin to answer; `on_done` is called later, on the event loop. None: it is left to ASGI."""
        call = _attempt(self._admitted, scope, fields, body, on_done)
        if call:
            self._arrived.append(call)
            if len(self._arrived) == 1:
                asyncio.get_running_loop().call_soon(self._ask_all)
        return call

    def _admitted(
        self, scope: Scope, fields: Mapping[bytes, bytes], body: bytes, on_done: OnDone
    ) -> "DirectCall":
        """Raises ServiceError."""
        if self._keys:
            check(self._keys, scope)
        return DirectCall(scope, fields, body, on_done, self._model, self._backend(), self._ledger)

    def _ask_all(self) -> None:
        """Decode what has arrived, all of it before any is answered."""
        arrived, self._arrived = self._arrived, []
        read = _attempt(self._read, [call.whole for call in arrived]) or [None] * len(arrived)
        for call, whole in zip(arrived, read, strict=True):
            call.ask(self._ask, whole)


class DirectCall(Admitted):
    """One request under way."""

    __slots__ = ("_headers", "_job", "_ledger", "_on_done", "_over", "_question", "_started", "body")

    def __init__(
        self,
        scope: Scope,
        fields: Mapping[bytes, bytes],
        body: bytes,
        on_done: OnDone,
        model: str,
        backend: Backend,
        ledger: Ledger,
    ) -> None:
        """Raises NotReady, PayloadTooLarge, Overloaded or InvalidInput."""
        self._started = time.perf_counter()
        self._headers = fields
        if len(body) > backend.max_body_bytes:
            raise PayloadTooLarge("")
        super().__init__(scope, self._headers, model, backend)
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
    def whole(self) -> Whole:
        return self._headers.get(b"content-type", b"").decode("latin-1"), self.body

    def ask(self, ask: Ask, whole: Any) -> None:
        """Have it answered by the next batch. `whole`: as it was read, or None if that failed."""
        if self._over:
            return
        question = None if whole is None else _attempt(ask, self, whole)
        if question is None:
            self._leave_to_asgi()
            return
        self._question: Question = question
        self._job = self.served.batcher.submit(question.rows, self._on_answer, self.expires_at)
        self.backend.patrol.watch(self)

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
        written = None if isinstance(answer, ServiceError) else _attempt(self._written, answer)
        if written:
            self._end()
            self._on_done(written)
        else:
            self._leave_to_asgi()

    def _written(self, answer: Answer) -> Written:
        body, timing = respond(self, self._question, answer)
        request_id = self._name()
        self._ledger.record_soon(self._entry(200))
        return _FIELDS % (len(body), timing, request_id.encode()), body

    def _leave_to_asgi(self) -> None:
        self._end()
        self._on_done(None)

    def _end(self) -> None:
        self._over = True
        if self._job:
            self._job.drop()
            self.backend.patrol.dismiss(self)
        self.release()
        self.backend.pending_bytes.release(len(self.body))

    def _name(self) -> str:
        """Returns the request's id."""
        named = b"x-request-id" in self._headers
        request_id = request_id_of(self.scope) if named else new_request_id()
        self.scope["state"]["request_id"] = request_id
        return request_id

    def _entry(self, status: int, reason: str | None = None) -> Entry:
        return Entry(self.scope, status, reason, time.perf_counter() - self._started)


def _attempt(function: Callable[..., T], *arguments: object) -> T | None:
    """What `function` returns, or None where it fails: ASGI meets the cause again, and answers it."""
    try:
        return function(*arguments)
    except ServiceError:
        return None
    except Exception as error:  # the border of the last net in middleware, which comes after it
        logger.warning("left to ASGI: %r", error)
        return None
