"""What is written to a connection."""

import asyncio
import http
from collections.abc import Callable

from service.connections.head import Fields
from service.problems import bare_problem
from service.request_id import request_id_of

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"  # an answer comes after it


class Answers:
    """A transport to which a head is written together with what follows: one system call, one packet.

    `on_close` closes the connection.
    """

    __slots__ = ("_begun", "_head", "_on_close", "_transport")

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif self._begun or data == INTERIM:
            self._transport.write(data)
        else:
            self._begun, self._head = True, data

    def end(self) -> None:
        """The answer is complete, perhaps without a body."""
        if self._head:
            self._transport.write(self._head)
        self._begun, self._head = False, b""

    def probe(self) -> None:
        """Write what every client skips, unless an answer has begun (RFC 9110, section 15.2)."""
        if not self._begun:
            self._transport.write(INTERIM)

    def close(self) -> None:
        self.end()
        self._on_close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def refusal(status: int, detail: str, path: str, own: Fields, asked: Fields, is_head: bool) -> bytes:
    """The answer to what is refused before it is a request, and the last on its connection.

    `path`: as far as it is known; `own`: fields of the server; `asked`: those of the request, likewise.
    """
    request_id = request_id_of({"headers": asked})
    body, media_type = bare_problem(status, detail, request_id, path)
    fields = [
        *own,
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    line = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n".encode()
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return line + lines + b"\r\n" + (b"" if is_head else body)
