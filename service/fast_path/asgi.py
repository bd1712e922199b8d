"""The shortest way for requests that another server than ours has brought, as ASGI.

Servers call the application when they have a head; mostly they have the body, too. Whether they do is seen
without waiting: what is still to come is left to the usual way, which knows how long that may take.
"""

import asyncio
from collections.abc import Coroutine, Generator, Mapping
from types import coroutine
from typing import Any

from starlette._utils import get_route_path
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.endpoints.answer import WrittenAnswer
from service.fast_path.calls import Written
from service.fast_path.paths import LEFT, FastPath, FastPaths, has_a_plain_head
from service.serving.body import has_gone
from service.serving.call import Abandoned
from service.uploads.multipart import HELD_BYTES


async def answer(
    paths: FastPaths | None, usual: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer directly; or else by the `usual` way, which meets the request as if it had just come."""
    path = _path_of(paths, scope)
    fields = dict(scope["headers"]) if path else {}
    if not path or not has_a_plain_head(scope["headers"], fields):
        await usual(scope, receive, send)
        return
    message, again = _first_of(receive)
    response = None
    if message and _is_whole(message):
        try:
            response = await Direct(receive).answered(path, scope, fields, message["body"])
        except Abandoned:
            return
    if response:
        await response(scope, receive, send)
    else:
        await usual(scope, again, send)


class Direct:
    """A request that is answered directly, for as long as its client waits."""

    expires_at: float

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._written: asyncio.Future[Written | None] = asyncio.get_running_loop().create_future()

    async def answered(
        self, path: FastPath, scope: Scope, fields: Mapping[bytes, bytes], body: bytes
    ) -> Response | None:
        """None: it is left to the usual way. Raises Abandoned."""
        call = path.begin(scope, fields, body, self._on_done)
        if call is None:
            return None
        self.expires_at, deadlines = call.expires_at, call.backend.deadlines
        deadlines.watch(self)
        try:
            written = await self._written
        except (Abandoned, asyncio.CancelledError):
            call.abandon()
            raise
        finally:
            deadlines.dismiss(self)
        if written is None:
            return None
        (content_type, timing, content, more), request_id = written
        more_fields = [*more, (b"x-request-id", request_id)]
        return WrittenAnswer(content, timing, call.backend.pending_bytes, content_type, more_fields)

    def look(self, now: float) -> None:
        del now  # the call itself looks at the time
        if not self._written.done() and has_gone(self._receive):
            self._written.set_exception(Abandoned())

    def _on_done(self, written: Written | None) -> None:
        if not self._written.done():
            self._written.set_result(written)


def _path_of(paths: FastPaths | None, scope: Scope) -> FastPath | None:
    if paths is None or scope["method"] != "POST" or scope.get("query_string"):
        return None
    if LEFT in scope.setdefault("state", {}):
        return None
    return paths[get_route_path(scope).encode("ascii", "replace")]


def _is_whole(message: Message) -> bool:
    """Whether it is a whole body, and a small one."""
    if message["type"] != "http.request" or message.get("more_body"):
        return False
    return len(message.setdefault("body", b"")) <= HELD_BYTES


def _first_of(receive: Receive) -> tuple[Message | None, Receive]:
    """The first message, if it is there already; and a `receive` that begins with it in any case."""
    receiving = receive()
    came, begun = list[Message](), [receiving]
    if isinstance(receiving, Coroutine):  # else it cannot be asked without waiting
        try:
            begun = [_going_on(receiving, receiving.send(None))]
        except StopIteration as received:
            came, begun = [received.value], []

    async def again() -> Message:
        if came:
            return came.pop()
        return await (begun.pop() if begun else receive())

    return came[0] if came else None, again


@coroutine
def _going_on(begun: Coroutine[Any, Any, Message], waits_for: Any) -> Generator[Any, Any, Message]:
    """What `begun` returns, which was left as it began to wait: given up, it might lose what comes."""
    yield waits_for
    message: Message = yield from begun
    return message
