"""One HTTP connection, around its requests: a head that is too slow, too large or no HTTP is refused.

uvicorn bounds neither how long a head takes nor how long it is, answers what is no HTTP in plain text,
writes the head of an answer apart from its body, and loses the content of who offers another protocol.
"""

import asyncio
import logging
import math
from typing import cast

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.connections import head
from service.connections.lifetime import HEAD_TIMEOUT_S, Lifetime

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
TOO_LARGE = head.Fault(431, f"The head of the request is over {MAX_HEAD_BYTES:,} bytes.")
TOO_MANY = head.Fault(431, f"The head of the request has more than {head.MAX_FIELDS} fields.")

MISPLACED = head.Fault(400, "What is said of the connection does not stand behind the content.")


class Enough(Exception):
    """Nothing more of what has come is read."""


class Connection(Lifetime):
    """uvicorn's, with limits. A timer runs only while a head is incomplete: most requests start none."""

    _alone = True  # no other request is in what is being received
    _progress = False  # content, or the end of a head, is in it
    _offered = False  # by this request: another protocol
    _may_have = 0  # the most bytes that the head can have which is being received

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._kept = (b"keep-alive", b"timeout=%d" % self.timeout_keep_alive)

    def data_received(self, data: bytes) -> None:
        if self._deaf and not self._receiving:
            self._dropped = True
            return
        self._alone = self._in_head or not self._receiving
        self._may_have = self._head_bytes + len(data)
        self._progress = False
        behind_offer = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            behind_offer = memoryview(data)[offer.args[0] :]
        except httptools.HttpParserError as error:
            self._on_parser_error(error)
        if behind_offer is not None:
            self._parse_on(behind_offer)
        if self._receiving or not self._progress:
            self._await_rest(len(data))
        elif self._head_timer:
            self._stop_head_timer()
        if self._stopping and not self._receiving and not self._is_asked():
            self._close()

    def _parse_on(self, data: memoryview) -> None:
        """What comes behind a head that offers another protocol, where the parser stops."""
        while True:
            try:
                self._ignore_offer()
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
            except httptools.HttpParserError as error:
                self._on_parser_error(error)
                return

    def _await_rest(self, size: int) -> None:
        """A request is not there whole, or nothing of one has come; `size`: of what has."""
        if self._in_head or not self._progress:
            self._measure(size)
        elif self._head_timer:
            self._stop_head_timer()

    def _ignore_offer(self) -> None:
        """The head is read anew, without it."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._offered = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(head.without_offer(method, self.url, version, self.headers))

    def _on_parser_error(self, error: httptools.HttpParserError) -> None:
        if self._deaf and not self._receiving:
            self._dropped = True  # it is what comes after the last request
            return
        if error.__context__:
            logger.warning("no request can be made of a head: %r", error.__context__)
        self._break_off()
        self._refuse(400, f"This is no HTTP: {str(error) or 'the request cannot be read'}.")

    def _measure(self, size: int) -> None:
        """Hold a head that is incomplete, or the fields behind chunks, to its limits."""
        if self._in_head and not self._head_timer and not self._deaf:
            self._start_head_timer(HEAD_TIMEOUT_S)
        if self._alone if self._in_head else self._receiving:
            self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._break_off()
            self._refuse(*TOO_LARGE)
        elif self._in_head and self._receiving and len(self.headers) > head.MAX_FIELDS:
            self._refuse(*TOO_MANY)

    def _break_off(self) -> None:
        """What is being received will never be there whole: who waits for it is told."""
        cycle = self.cycle
        if self._receiving and not self._in_head and self._is_asked() and cycle.more_body:
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            cycle.disconnected = cycle.response_complete = True
            cycle.message_event.set()

    def on_message_begin(self) -> None:
        if self._deaf:
            raise Enough
        self._in_head, self._receiving, self._head_bytes = True, True, 0
        self._idle_since = math.inf
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self.headers.append((name.lower(), value.strip(b" \t")))
        elif name.lower() in head.OF_CONNECTIONS:  # the parser goes by it, wherever it stands
            self._break_off()
            self._refuse(*MISPLACED)
            raise Enough
        # Others that come behind the content do not count (RFC 9110, section 6.5.1).

    def on_headers_complete(self) -> None:
        self._in_head, self._progress, self._head_bytes = False, True, 0
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if self.parser.should_upgrade() and method != b"CONNECT":
            self._offered = True
            return
        self._check(method, version)
        self.expect_100_continue = version == "1.1" and head.expects_continue(self.headers)
        super().on_headers_complete()
        cycle = self.cycle
        cycle.transport = cast(asyncio.Transport, self._answers)
        # What is sent on a connection just as it is closed is lost: none is to be left when a service ends.
        last = self._stopping or self._registry.stopping
        if last or not cycle.keep_alive or head.lacks_length(method, self.headers):
            cycle.keep_alive, self._deaf = False, True
        else:
            cycle.default_headers = [*cycle.default_headers, self._kept]

    def _check(self, method: bytes, version: str) -> None:
        """Raises Enough where the head is refused."""
        fields = self.headers
        if len(fields) > head.MAX_FIELDS:
            fault: head.Fault | None = TOO_MANY
        elif self._is_too_large():
            fault = TOO_LARGE
        else:
            fault = head.fault_of(method, version, self.url, fields)
        if fault:
            self._refuse(*fault)
            raise Enough
        target = head.target_of(method, self.url)
        if target and target.authority is not None:
            self.url = target.path
            fields[:] = [(name, target.authority if name == b"host" else value) for name, value in fields]

    def _is_too_large(self) -> bool:
        """The head that has come, perhaps together with more than a head."""
        return self._may_have > MAX_HEAD_BYTES and head.size_of(self.url, self.headers) > MAX_HEAD_BYTES

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._offered:
            return
        self._receiving = self._alone = False
        if self.cycle.response_complete:
            self._idle_since = self.loop.time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answers.end()
        self.server_state.total_requests += 1
        if self._lingering or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_words is not None:
            self._say_last_words()
        elif self._deaf:
            self._close()
        else:
            self._await_more()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(
            cycle, _unless_asked(app, cycle) if cycle.waiting_for_100_continue else app
        )


def _unless_asked(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """Who waits to be asked for content, and is answered instead, may send it or not: nothing follows."""

    async def call(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def send_last(message: ASGISendEvent) -> None:
            if cycle.waiting_for_100_continue:
                cycle.keep_alive = False
                cycle.default_headers = [f for f in cycle.default_headers if f[0] != b"keep-alive"]
            await send(message)

        await app(scope, receive, send_last)

    return call
