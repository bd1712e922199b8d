"""A request that a canary answers; and again by the live version, where the canary cannot."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Message, Receive

from service.errors import InferenceFailed
from service.serving.served import Canary

Answer = Callable[[Receive], Awaitable[Response]]


class Recorded:
    """What comes of a request, kept to be read once more; its bytes count while the candidate answers."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []

    async def record(self) -> Message:
        message = await self._receive()
        self._messages.append(message)
        return message

    async def replay(self) -> Message:
        return self._messages.pop(0) if self._messages else await self._receive()


async def answered_by(canary: Canary, receive: Receive, candidate: Answer, live: Answer) -> Response:
    """What the `candidate` answers to what is received, or else what is `live`.

    What is wrong with the request itself is the same to both. Raises ServiceError, Abandoned or
    ClientDisconnect.
    """
    recorded = Recorded(receive)
    try:
        return await candidate(recorded.record)
    except InferenceFailed as error:
        canary.fail(error)
    return await live(recorded.replay)
