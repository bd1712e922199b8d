"""What is sent for an answer."""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.serving.admission import Admission

PIECE_BYTES = 64 * 1024  # of a large one


class JsonAnswer(Response):
    """200 with a JSON body; made without the general constructor, which costs as much as decoding.

    A large one is sent piece by piece, as its client takes it, and counts among the `pending` bytes.
    """

    def __init__(self, body: bytes, server_timing: bytes, pending: Admission) -> None:
        self._pending = pending
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"server-timing", server_timing),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Overloaded."""
        size = len(self.body)
        if size <= PIECE_BYTES:
            await super().__call__(scope, receive, send)
            return
        self._pending.admit(size, size)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            for first in range(0, size, PIECE_BYTES):
                piece = bytes(self.body[first : first + PIECE_BYTES])
                more = first + PIECE_BYTES < size
                await send({"type": "http.response.body", "body": piece, "more_body": more})
                await asyncio.sleep(0)  # others may be written to
        finally:
            self._pending.release(size)
