"""What may stand before a service: it answers as it is told first, and then hands on what it gets."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import httpx

DROP = b""  # the connection ends without an answer
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"


def refusal(status: int, retry_after: str | None = None, page: str = "<h1>No</h1>") -> bytes:
    """As a proxy gives it, in HTML, or as the `page` that it is told to give."""
    field = "" if retry_after is None else f"Retry-After: {retry_after}\r\n"
    return f"HTTP/1.1 {status} No\r\n{field}Content-Length: {len(page)}\r\n\r\n{page}".encode()


class Heard(NamedTuple):
    request_id: str
    timeout_ms: int
    api_key: str | None
    body: bytes


class Relay(NamedTuple):
    """`first`: its own answers to what is predicted, in turn, whole or in pieces; None hands on."""

    address: str
    first: list[bytes | Iterable[bytes] | None]
    heard: list[Heard]


@contextmanager
def relaying(service: str) -> Iterator[Relay]:
    first: list[bytes | Iterable[bytes] | None] = []
    heard: list[Heard] = []
    lock = threading.Lock()
    with httpx.Client(base_url=service, timeout=60) as client:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.hand_on(b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fields = self.headers
                with lock:
                    request_id, key = fields["X-Request-ID"], fields["X-API-Key"]
                    heard.append(Heard(request_id, int(fields["X-Request-Timeout-Ms"]), key, body))
                    own = first.pop(0) if first else None
                if own is None:
                    self.hand_on(body)
                    return
                with suppress(ConnectionError):  # of who has gone before the last piece
                    for piece in (own,) if isinstance(own, bytes) else own:
                        self.wfile.write(piece)
                self.close_connection = own in (DROP, CUT) or not isinstance(own, bytes)

            def hand_on(self, body: bytes) -> None:
                fields = {n: v for n, v in self.headers.items() if n not in ("Host", "Content-Length")}
                answer = client.request(self.command, self.path, content=body, headers=fields)
                self.send_response(answer.status_code)
                for name in ("Content-Type", "Retry-After", "X-Request-ID", "Server-Timing"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Relay(f"http://127.0.0.1:{server.server_address[1]}", first, heard)
        server.shutdown()
        server.server_close()
        thread.join()
