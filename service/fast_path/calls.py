"""The shortest way to an answer, for a request that is small and there whole.

Most are, as soon as they are seen. They need no task, no coroutine and no ASGI messages,
which together cost as much as decoding a digit (docs/decisions/0008). This path knows success alone.
Whatever else may become of a request (it is unusual, refused, late, or fails) is left to ASGI, which meets
it as if it had just come: so every error has one place.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.datastructures import State
from starlette.types import Scope

from service.endpoints.answer import accepted, respond
from service.endpoints.dispatch import PREFIX, route_of
from service.endpoints.endpoint import Decoded, Endpoint
from service.errors import Overloaded, PayloadTooLarge, ServiceError
from service.http.auth import check
from service.http.keys import KeyFile
from service.http.middleware import CLIENT_CLOSED_REQUEST, Entry, Ledger
from service.problems import new_request_id
from service.serving.body import RawRequest
from service.serving.call import Admitted, Backend
from service.serving.job import Answer, Job
from service.serving.request_id import request_id_of
from service.serving.served import Served

logger = logging.getLogger(__name__)

_PREFIX = PREFIX.encode()

T = TypeVar("T")

# The answer: the fields of its head, and its body. Or None: the request is left to ASGI.
Written = tuple[bytes, bytes]
OnDone = Callable[[Written | None], None]

_FIELDS = (
    b"content-type: application/json\r\ncontent-length: %d\r\nserver-timing: %b\r\nx-request-id: %b\r\n"
)


def paths_of(app: Any) -> "FastPaths | None":
    """Those of an application, for all its connections; None where requests need more than an answer."""
    if not hasattr(app.state, "fast_paths"):
        app.state.fast_paths = FastPaths(app.state) if app.needs_no_more else None
    return app.state.fast_paths  # type: ignore[no-any-return]


class FastPaths(dict[bytes, "FastPath"]):
    """By the path of a model: found when it is first asked for, and kept. None: ASGI has it."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state

    def __missing__(self, path: bytes) -> "FastPath | None":
        if not path.startswith(_PREFIX):
            return None
        name, state = path[len(_PREFIX) :].decode("latin-1"), self._state
        if not state.backend.registry.knows(name):
            return None
        found = self[path] = FastPath(name, state.backend, state.ledger, state.keys)
        return found


class FastPath:
    """The path to one model; with `keys`, for those who show one."""

    def __init__(self, model: str, backend: Backend, ledger: Ledger, keys: KeyFile | None) -> None:
        self._model = model
        self._route = route_of(model)
        self._backend = backend
        self._ledger = ledger
        self._keys = keys
        self._arrived: list[FastCall] = []

    def begin(
        self, scope: Scope, fields: Mapping[bytes, bytes], body: bytes, on_done: OnDone
    ) -> "FastCall | None":
        """Begin to answer; `on_done` is called later, on the event loop. None: it is left to ASGI."""
        call = _attempt(self._admitted, scope, fields, body, on_done)
        if call:
            self._arrived.append(call)
            if len(self._arrived) == 1:
                asyncio.get_running_loop().call_soon(self._decode_all)
        return call

    def _admitted(
        self, scope: Scope, fields: Mapping[bytes, bytes], body: bytes, on_done: OnDone
    ) -> "FastCall | None":
        """Raises ServiceError."""
        if b"accept" in fields and accepted(fields[b"accept"]) != "json":
            return None
        if self._keys:
            check(self._keys, scope)
        served = self._backend.registry.get(self._model)
        if served.canary and served.canary.takes(request_id_of(scope)):
            return None
        scope["state"]["route"] = self._route
        return FastCall(scope, fields, body, on_done, served, self._backend, self._ledger)

    def _decode_all(self) -> None:
        """Read what has arrived, all of it before any is answered."""
        arrived, self._arrived = self._arrived, []
        served = arrived[0].served
        if any(call.served is not served for call in arrived):  # another version became live meanwhile
            for call in arrived:
                _decode(call.served.endpoint, [call])
        else:
            _decode(served.endpoint, arrived)


def _decode(endpoint: Endpoint, calls: "Sequence[FastCall]") -> None:
    read = _attempt(endpoint.read, [call.request for call in calls]) or [None] * len(calls)
    for call, of_call in zip(calls, read, strict=True):
        call.decode(endpoint, of_call)


class FastCall(Admitted):
    """One request under way."""

    __slots__ = ("_decoded", "_headers", "_job", "_ledger", "_on_done", "_over", "_started", "body")

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
    def request(self) -> RawRequest:
        return self._headers.get(b"content-type", b"").decode("latin-1"), self.body

    def decode(self, endpoint: Endpoint, read: Any) -> None:
        """Have it answered by the next batch. `read`: by the endpoint, or None if that failed."""
        if self._over:
            return
        decoded = None if read is None else _attempt(endpoint.decode, self, read)
        if decoded is None:
            self._leave_to_asgi()
            return
        self._decoded: Decoded = decoded
        self._job = self.served.batcher.submit(decoded.rows, self._on_answer, self.expires_at)
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
        written = None if isinstance(answer, ServiceError) else _attempt(self._written, answer)
        if written:
            self._end()
            self._on_done(written)
        else:
            self._leave_to_asgi()

    def _written(self, answer: Answer) -> Written:
        body, timing = respond(self, self._decoded, answer)
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


def _attempt(function: Callable[..., T], *arguments: object) -> T | None:
    """What `function` returns, or None where it fails: ASGI meets the cause again, and answers it."""
    try:
        return function(*arguments)
    except ServiceError:
        return None
    except Exception as error:  # the border of the last net in middleware, which comes after it
        logger.warning("left to ASGI: %r", error)
        return None
