"""One HTTP connection, on which requests that soon are there whole are answered directly, without ASGI."""

import asyncio
from collections.abc import Mapping
from typing import cast

from starlette.types import Scope
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.connections.connection import MAX_HEAD_BYTES
from service.connections.head import MAX_FIELDS, is_authority
from service.connections.pacing import PacedConnection
from service.fast_path.calls import FastCall, Reply, Written
from service.fast_path.paths import LEFT, FastPath, FastPaths, has_a_plain_head, paths_of
from service.uploads.multipart import HELD_BYTES

PATIENCE_S = 0.02  # how long a body is waited for

_FIELDS = b"content-type: %b\r\ncontent-length: %d\r\nserver-timing: %b\r\nx-request-id: %b\r\n"


class FastCycle:
    """A request that is being answered directly, where uvicorn has a RequestResponseCycle.

    So uvicorn queues what comes behind it on its connection, and waits for it when it shuts down.
    """

    message_event = asyncio.Event()  # nobody waits for it: the request is there
    more_body = False

    def __init__(self, connection: "FastPathConnection") -> None:
        self.keep_alive = True
        self.response_complete = False
        self.disconnected = False
        self._connection = connection
        self._call: FastCall | None = None

    def begin(self, path: FastPath, scope: Scope, fields: Mapping[bytes, bytes], body: bytes) -> bool:
        """Whether it is answered here; else it is left to ASGI."""
        self._call = path.begin(scope, fields, body, self._on_done)
        return self._call is not None

    def abandon(self) -> None:
        if self._call:
            self._call.abandon()

    def _on_done(self, written: Written | None) -> None:
        assert self._call
        self.response_complete = True
        if written:
            self._connection.answer(*written, self.keep_alive)
        else:
            self._connection.leave_to_asgi(self._call.scope, self._call.body, replaced=self)


class FastPathConnection(PacedConnection):
    """Holds the body of a request that may be answered directly, until all of it is there.

    Clients send head and body one right after the other. A body that keeps us waiting, or is large, is left
    to ASGI, which knows how long a request may take and how much may be under way.
    """

    _paths: FastPaths | None
    _path: FastPath
    _fields: Mapping[bytes, bytes]
    _host = b" "  # that was seen to be one; no field has this value
    _own: list[tuple[bytes, bytes]] | None = None
    _begin = b""
    _held: bytearray | None = None
    _patience: asyncio.TimerHandle | None = None
    _direct: FastCycle | None = None  # the one under way

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._paths = paths_of(self.app)
        self._last_fields = b"%b: %b\r\n\r\n" % self._kept

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        if self._direct:
            self._direct.abandon()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._wait_no_longer()
        super().shutdown()

    def on_headers_complete(self) -> None:
        path = None if self._paths is None else self._paths[self.url]
        if not (path and self._may_go_directly()):
            super().on_headers_complete()
            return
        self._in_head, self._progress, self._head_bytes = False, True, 0
        self._path, self._held = path, bytearray()
        self.scope["method"] = "POST"
        self.scope["path"] = self.url.decode("ascii")
        self.scope["raw_path"] = self.url
        self.scope["query_string"] = b""

    def _may_go_directly(self) -> bool:
        """Whether it is a plain request, first in line, whose client takes in its answers."""
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not (self._stopping or self._registry.stopping)
            and self._has_a_plain_head()
        )

    def _has_a_plain_head(self) -> bool:
        """Whether there is nothing in it that has to be refused, or needs more than an answer."""
        fields = self._fields = dict(self.headers)
        return (
            has_a_plain_head(self.headers, fields)
            and len(fields) <= MAX_FIELDS
            and (fields.get(b"host") == self._host or self._is_host(fields.get(b"host")))
            # Any other version is kept alive only where it asks for that.
            and (b"connection" not in fields or self.parser.get_http_version() == "1.1")
            and self._may_have <= MAX_HEAD_BYTES
        )

    def _is_host(self, host: bytes | None) -> bool:
        if host is None or not is_authority(host):
            return False
        self._host = host
        return True

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
            return
        self._held += body
        self._progress = True
        if len(self._held) > HELD_BYTES:
            self._wait_no_longer()

    def on_message_complete(self) -> None:
        body = self._release()
        if body is None:
            super().on_message_complete()
            return
        self._receiving = self._alone = False
        cycle = FastCycle(self)
        if cycle.begin(self._path, self.scope, self._fields, body):  # type: ignore[arg-type]
            self.cycle = self._direct = cycle  # type: ignore[assignment]
        else:
            self.leave_to_asgi(self.scope, body)

    def _await_rest(self, size: int) -> None:
        super()._await_rest(size)
        if self._held is not None and not self._patience:
            self._patience = self.loop.call_later(PATIENCE_S, self._wait_no_longer)

    def _break_off(self) -> None:
        self._release()
        super()._break_off()

    def _wait_no_longer(self) -> None:
        body = self._release()
        if body is not None:
            self.leave_to_asgi(self.scope, body, complete=False)

    def _release(self) -> bytes | None:
        """What is held, which it is no longer."""
        if self._held is None:
            return None
        body, self._held = bytes(self._held), None
        if self._patience:
            self._patience.cancel()
            self._patience = None
        return body

    def answer(self, reply: Reply, request_id: bytes, keep_alive: bool) -> None:
        if keep_alive and not (self._deaf and self._says_no_more()):
            last = self._last_fields
        else:
            self._deaf, last = True, b"connection: close\r\n\r\n"
        content_type, timing, body, more = reply
        fields = _FIELDS % (content_type, len(body), timing, request_id)
        lines = [b"%b: %b\r\n" % field for field in more]
        self.transport.write(b"".join((self._status(), fields, *lines, last, body)))
        self.on_response_complete()

    def _status(self) -> bytes:
        """The status line and the server's own fields, which are renewed every second."""
        own = self.server_state.default_headers
        if own is not self._own:
            self._own = own
            self._begin = b"HTTP/1.1 200 OK\r\n" + b"".join([b"%b: %b\r\n" % field for field in own])
        return self._begin

    def on_response_complete(self) -> None:
        self._direct = None
        super().on_response_complete()

    def leave_to_asgi(
        self,
        scope: Scope | HTTPScope,
        body: bytes,
        complete: bool = True,
        replaced: FastCycle | None = None,
    ) -> None:
        """Begin a request as uvicorn does once it has its head; `body`: as much of it as is there."""
        cycle = RequestResponseCycle(
            scope=cast(HTTPScope, scope),
            transport=cast(asyncio.Transport, self._answers),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=[*self.server_state.default_headers, self._kept],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=not self._says_no_more() and (replaced.keep_alive if replaced else True),
            on_response=self.on_response_complete,
        )
        scope["state"][LEFT] = True
        cycle.body += body
        cycle.more_body = not complete
        cycle.message_event.set()
        self._direct = None
        if not replaced or cast(FastCycle, self.cycle) is replaced:  # else another one has come behind it
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)
