"""One HTTP connection, before there is a request: a head that is too slow, too large or no HTTP is refused.

uvicorn bounds neither how long a head takes nor how long it is, and answers what is no HTTP in plain text.
"""

import asyncio
import http

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.problems import MEDIA_TYPE, bare_problem

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 10.0


class Connection(HttpToolsProtocol):
    """uvicorn's, with limits. The timer runs only while a head is incomplete: most requests start none."""

    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._on_head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            self._stop_timer()
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"The head of the request is over {MAX_HEAD_BYTES:,} bytes.")
        elif not self._head_timer:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._on_head_timeout)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(408, f"The head of the request did not come within {HEAD_TIMEOUT_S:g} seconds.")
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, detail: str) -> None:
        if self.transport.is_closing():
            return
        body = bare_problem(status, detail)
        head = (
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
