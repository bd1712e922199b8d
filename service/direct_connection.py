"""One HTTP connection, on which requests that soon are there whole are answered directly, without ASGI."""

import asyncio
from collections.abc import Mapping
from typing import cast

from starlette.types import Scope
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.connection import Connection
from service.direct import DirectCall, DirectWay, Written
from service.multipart import HELD_BYTES

PATIENCE_S = 0.02  # how long a body is waited for


class DirectCycle:
    """A request that is being answered directly, where uvicorn has a RequestResponseCycle.

    So uvicorn queues what comes behind it on its connection, and waits for it when it shuts down.
    """

    message_event = asyncio.Event()  # nobody waits for it: the request is there

    def __init__(self, connection: "DirectConnection") -> None:
        self.keep_alive = True
        self.response_complete = False
        self.disconnected = False
        self._connection = connection
        self._call: DirectCall | None = None

    def begin(self, way: DirectWay, scope: Scope, body: bytes) -> bool:
        """Whether it is answered here; else it is left to ASGI."""
        self._call = way.begin(scope, body, self._on_done)
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


class DirectConnection(Connection):
    """Holds the body of a request that may be answered directly, until all of it is there.

    Clients send head and body one right after the other. A body that keeps us waiting, or is large, is left
    to ASGI, which knows how long a request may take and how much may be under way.
    """

    _ways: Mapping[bytes, DirectWay]
    _way: DirectWay
    _held: bytearray | None = None
    _patience: asyncio.TimerHandle | None = None
    _direct: DirectCycle | None = None  # the one under way

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._ways = getattr(self.app, "direct", {})

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        if self._direct:
            self._direct.abandon()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._wait_no_longer()
        super().shutdown()

    def on_headers_complete(self) -> None:
        way = self._ways.get(self.url)
        if not (way and self._may_go_directly()):
            super().on_headers_complete()
            return
        self._in_head = False
        self._way, self._held = way, bytearray()
        self.scope["method"] = "POST"
        self.scope["path"] = self.url.decode("ascii")
        self.scope["raw_path"] = self.url
        self.scope["query_string"] = b""

    def _may_go_directly(self) -> bool:
        """Whether it is a plain request, first in line, whose client takes in its answers."""
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
        )

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
            return
        self._held += body
        if len(self._held) > HELD_BYTES:
            self._wait_no_longer()

    def on_message_complete(self) -> None:
        body = self._release()
        if body is None:
            super().on_message_complete()
            return
        cycle = DirectCycle(self)
        if cycle.begin(self._way, cast(Scope, self.scope), body):
            self._direct = cycle
            self.cycle = cast(RequestResponseCycle, cycle)
        else:
            self.leave_to_asgi(self.scope, body)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            self._release()  # it was no HTTP, and is refused
        elif self._held is not None and not self._patience:
            self._patience = self.loop.call_later(PATIENCE_S, self._wait_no_longer)

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

    def answer(self, fields: bytes, body: bytes, keep_alive: bool) -> None:
        """200, with these fields in its head beside the server's own."""
        own = [b"%b: %b\r\n" % field for field in self.server_state.default_headers]
        last = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join([b"HTTP/1.1 200 OK\r\n", *own, fields, last, body]))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        self._direct = None
        super().on_response_complete()

    def leave_to_asgi(
        self,
        scope: Scope | HTTPScope,
        body: bytes,
        complete: bool = True,
        replaced: DirectCycle | None = None,
    ) -> None:
        """Begin a request as uvicorn does once it has its head; `body`: as much of it as is there."""
        cycle = RequestResponseCycle(
            scope=cast(HTTPScope, scope),
            transport=cast(asyncio.Transport, self._answers),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=replaced.keep_alive if replaced else True,
            on_response=self.on_response_complete,
        )
        cycle.body += body
        cycle.more_body = not complete
        cycle.message_event.set()
        self._direct = None
        if not replaced or cast(DirectCycle, self.cycle) is replaced:  # else another one has come behind it
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)
