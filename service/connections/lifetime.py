"""How long a connection is kept, and how it ends: no request is lost by it, and none is kept for ever."""

import asyncio
import math
import select
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.connections.answers import Answers, refusal
from service.serving.registry import Registry

HEAD_TIMEOUT_S = 10.0  # for a head, and for the rest of a request that is answered before it is there whole
GRACE_S = 1.0  # beyond the idle time that clients are told, or a stop: so long is what they send on its way
LINGER_S = 2.0  # for what a client still sends that has got its last answer
PROBE_S = 0.1  # between looks whether a client that says no more still listens
STALL_S = 60.0  # a client that takes in nothing of its answers for so long has gone


class Lifetime(HttpToolsProtocol):
    """How long a connection is kept. One timer looks now and then how long nothing has been asked."""

    _in_head = True  # before the first request as well
    _receiving = False  # a request, of which the end has not come
    _deaf = False  # no further request is read
    _dropped = False  # what came nevertheless
    _ended = False  # the client will say no more
    _stopping = False  # the service
    _lingering = False  # nothing is said any longer
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _last_words: bytes | None = None
    _answers: Answers
    _registry: Registry
    _idle_since = math.inf
    url = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answers = Answers(transport, self._close)
        app: Any = self.app
        self._registry = app.state.backend.registry
        self._start_head_timer(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = True
        for timer in (self._head_timer, self._stall_timer, self.timeout_keep_alive_task):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether it is still written to: a client may have sent all it will, and wait (RFC 9112, 9.6)."""
        self._deaf = self._ended = True
        if self._lingering or self._receiving or not self._is_asked():
            return False
        self.loop.call_later(PROBE_S, self._probe)
        return True

    def _probe(self) -> None:
        """End it where the client has closed it too: its system says so once something is written to it."""
        if self.transport.is_closing() or not self._is_asked():
            return
        if _has_gone(self.transport):
            self.transport.abort()
            return
        if self.scope["http_version"] == "1.1":
            self._answers.probe()
        self.loop.call_later(PROBE_S, self._probe)

    def _is_asked(self) -> bool:
        """Whether there is a request that is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _says_no_more(self) -> bool:
        """Whether the answer to the request under way is the last one."""
        return self._deaf and self._last_words is None and not self.pipeline

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what is no request, after all that are, and read no more."""
        if self._last_words is not None or self._lingering or self.transport.is_closing():
            return
        url = self.url.partition(b"?")[0].decode("latin-1") if self._receiving else ""
        is_head = url != "" and self.parser.get_method() == b"HEAD"
        self._receiving = self._in_head = False
        self._deaf = self._dropped = True
        self._stop_head_timer()
        own = [*self.server_state.default_headers]
        self._last_words = refusal(status, detail, url, own, self.headers or [], is_head)
        if not self._is_asked():
            self._say_last_words()

    def _say_last_words(self) -> None:
        self.transport.write(self._last_words or b"")
        self._close()

    def _close(self) -> None:
        """Say no more. What still comes is read for a moment: a reset would overtake the answer."""
        self._deaf = True
        if self._lingering or self.transport.is_closing():
            return
        if self._ended or (self._stopping and not (self._receiving or self._dropped)):
            self.transport.close()
            return
        self._lingering, self._receiving, self._in_head = True, False, False
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def shutdown(self) -> None:
        """Close it once what has come is answered; who has only just connected is about to ask."""
        self._stopping = True
        if self._is_asked():
            self.cycle.keep_alive = False
        elif self._lingering:
            self.transport.close()
        elif not (self._receiving or _has_come(self.transport)):
            if self._head_timer:
                self._stop_head_timer()
                self._start_head_timer(GRACE_S)
            else:
                self.transport.close()

    def _await_more(self) -> None:
        """Note that all is answered: from here on the connection is idle, or waits for a rest."""
        if not self._receiving:
            self._idle_since = self.loop.time()
        elif not self._in_head:
            self.loop.call_later(HEAD_TIMEOUT_S, self._on_rest_timeout, self.cycle)
        if not self.timeout_keep_alive_task:
            self._watch_idleness(self.timeout_keep_alive + GRACE_S)

    def _on_rest_timeout(self, cycle: RequestResponseCycle) -> None:
        if self.cycle is cycle and self._receiving and not self._in_head:
            self._close()

    def _watch_idleness(self, after_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(after_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        left_s = self.timeout_keep_alive + GRACE_S - max(0.0, self.loop.time() - self._idle_since)
        if left_s > 0:
            self._watch_idleness(left_s)
        elif _has_come(self.transport):
            self._watch_idleness(GRACE_S)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # nobody reads what closing would wait for
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        """The timer goes on: one for every request would take as long as its metrics."""

    def _start_head_timer(self, after_s: float) -> None:
        self._head_timer = self.loop.call_later(after_s, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if self.flow.read_paused:
            self._start_head_timer(HEAD_TIMEOUT_S)  # it was we who kept it waiting
        elif self._head_bytes or self._receiving:
            self._refuse(408, f"The head of the request did not come within {HEAD_TIMEOUT_S:g} seconds.")
        elif _has_come(self.transport):
            self._start_head_timer(GRACE_S)
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stall_timer:
            self._stall_timer.cancel()
        super().resume_writing()


def _has_come(transport: asyncio.Transport) -> bool:
    """Whether the system has bytes that have not been read yet, or there will be none any longer."""
    return bool(_events(transport) & (select.POLLIN | select.POLLHUP))


def _has_gone(transport: asyncio.Transport) -> bool:
    """Whether the other end has refused what was written to it."""
    return bool(_events(transport) & (select.POLLHUP | select.POLLERR))


def _events(transport: asyncio.Transport) -> int:
    """What the system knows of the other end, asked without waiting."""
    socket = transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return select.POLLHUP
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return next((events for _, events in poll.poll(0)), 0)
