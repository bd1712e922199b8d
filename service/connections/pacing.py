"""One HTTP connection that takes its turn: what comes at once may take longer than others can wait.

A quarter of a megabyte, as much as is read at a time, may be 4,000 requests, or 40,000 chunks of a body.
"""

import asyncio
import time
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

from service.connections.connection import Connection

SLICE_BYTES = 4 * 1024
TURN_S = 0.001


class PacedFlow(FlowControl):
    """Flow control that reads no more while it is held, and tells `on_resume` who would go on."""

    def __init__(self, transport: asyncio.Transport, on_resume: Callable[[], None]) -> None:
        super().__init__(transport)
        self.is_wanted = True
        self._is_held = False
        self._on_resume = on_resume

    def pause_reading(self) -> None:
        self.is_wanted = False
        super().pause_reading()

    def resume_reading(self) -> None:
        self.is_wanted = True
        if self._is_held:
            self._on_resume()
        elif self.read_paused:
            super().resume_reading()

    def hold(self) -> None:
        self._is_held = True
        super().pause_reading()

    def release(self) -> None:
        self._is_held = False
        if self.is_wanted:
            super().resume_reading()


class PacedConnection(Connection):
    """Takes in what has come a slice at a time. After TURN_S it goes on when others have had their turn.

    What no one wants yet waits, as if it had not been read.
    """

    flow: PacedFlow
    _rest = b""
    _turn: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = PacedFlow(transport, self._await_turn)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            self._rest += data  # it was read before reading stopped
        elif len(data) <= SLICE_BYTES:
            super().data_received(data)
        else:
            self._take(data)

    def shutdown(self) -> None:
        if self._rest and not self._is_asked():
            self._stopping = True  # there may be a request in it, which is the last then
        else:
            super().shutdown()

    def _take(self, data: bytes) -> None:
        until = time.perf_counter() + TURN_S
        for at in range(0, len(data), SLICE_BYTES):
            if at and not (self.flow.is_wanted and time.perf_counter() < until):
                self._rest = data[at:]
                self.flow.hold()
                if self.flow.is_wanted:
                    self._await_turn()
                return
            super().data_received(data[at : at + SLICE_BYTES])
        self.flow.release()

    def _await_turn(self) -> None:
        if not self._turn:
            self._turn = self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._turn = None
        rest, self._rest = self._rest, b""
        if rest and not self.transport.is_closing():
            self._take(rest)
