"""One call under way: its key, its time, its errors as gRPC has them, and its line in the log."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from service.errors import DeadlineExceeded, InternalError, InvalidInput, ServiceError
from service.http.auth import check
from service.http.keys import KeyFile
from service.http.middleware import CLIENT_CLOSED_REQUEST, Entry, Ledger
from service.problems import LONGEST_DETAIL, shortened
from service.protocol.infer import in_its_words
from service.rpc.messages import SERVICE
from service.serving.request_id import request_id_of

logger = logging.getLogger(__name__)

Scope = dict[str, Any]

# By the HTTP status that means the same.
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Calls:
    """What all calls have in common."""

    def __init__(self, ledger: Ledger, keys: KeyFile | None) -> None:
        self._ledger = ledger
        self._keys = keys

    async def answered(
        self, context: Any, method: str, answer: Callable[[Scope], Awaitable[Any]], needs_key: bool = True
    ) -> Any:
        """What `answer` returns; what it raises ends the call with the status that fits."""
        scope, started = _scope(context, f"/{SERVICE}/{method}"), time.perf_counter()
        request_id = request_id_of(scope)
        try:
            outcome = await self._outcome(scope, answer, needs_key)
        except asyncio.CancelledError:
            self._record(scope, CLIENT_CLOSED_REQUEST, "abandoned", started)
            raise
        if not isinstance(outcome, BaseException):
            self._record(scope, 200, None, started)
            context.set_trailing_metadata((("x-request-id", request_id),))
            return outcome
        return await self._refused(scope, context, outcome, started)

    async def refuse(self, context: Any, path: str, error: BaseException, started: float) -> NoReturn:
        """It is not answered, for its message was not taken. `path`: of the method, as HTTP/2 has it."""
        scope = _scope(context, path)
        await self._refused(scope, context, error, started)

    async def _refused(
        self, scope: Scope, context: Any, outcome: BaseException, started: float
    ) -> NoReturn:
        request_id = request_id_of(scope)
        error = _told(outcome, request_id)
        self._record(scope, error.status, error.slug, started)
        await context.abort(*_aborted(error, request_id))
        raise AssertionError("abort raises")

    async def _outcome(
        self, scope: Scope, answer: Callable[[Scope], Awaitable[Any]], needs_key: bool
    ) -> Any | BaseException:
        """What is answered or raised, whatever that is: nothing internal reaches the client."""
        try:
            if needs_key and self._keys:
                check(self._keys, scope)
        except ServiceError as error:
            return error
        return (await asyncio.gather(answer(scope), return_exceptions=True))[0]

    def _record(self, scope: Scope, status: int, reason: str | None, started: float) -> None:
        self._ledger.record(Entry(scope, status, reason, time.perf_counter() - started))


def _told(outcome: BaseException, request_id: str) -> ServiceError:
    """What a client is told; the cause of what is ours goes to the log."""
    if isinstance(outcome, InvalidInput):
        return in_its_words(outcome)
    if isinstance(outcome, TimeoutError):
        return DeadlineExceeded("The time for this request was over before its answer was there.")
    error = outcome if isinstance(outcome, ServiceError) else InternalError()
    if error.status == 500:
        logger.error("request failed id=%s", request_id, exc_info=outcome)
    return error


def _aborted(
    error: ServiceError, request_id: str
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]:
    metadata = [("x-request-id", request_id)]
    if error.retry_after_s is not None:
        metadata.append(("retry-after", str(error.retry_after_s)))
    code = _CODES.get(error.status, grpc.StatusCode.INTERNAL)
    return code, shortened(error.detail, LONGEST_DETAIL), tuple(metadata)


def _scope(context: Any, path: str) -> Scope:
    """As ASGI has one, as far as the models need it."""
    headers = [
        (name.encode(), value.encode() if isinstance(value, str) else bytes(value))
        for name, value in context.invocation_metadata() or ()
    ]
    return {
        "type": "grpc",
        "method": "POST",  # all of gRPC's are
        "path": path,
        "headers": headers,
        "client": (context.peer(), 0),
        "state": {"route": path},
    }
