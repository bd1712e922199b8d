"""One call under way: its key, its time, its errors as gRPC has them, and its line in the log."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import grpc

from service.errors import DeadlineExceeded, InternalError, InvalidInput, ServiceError, Unauthorized
from service.http.auth import check
from service.http.keys import KeyFile
from service.http.middleware import CLIENT_CLOSED_REQUEST, Entry, Ledger
from service.problems import LONGEST_DETAIL, shortened
from service.protocol.infer import in_its_words
from service.request_id import request_id_of
from service.rpc.exchange import Exchange
from service.rpc.messages import SERVICE

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Spans: TypeAlias = Any  # of service.http.tracing, which needs an extra
Span: TypeAlias = Any
Answer = Callable[[Scope], Awaitable[Any]]
Instead = Callable[[ServiceError], Any]

_OPEN = ("ServerLive", "ServerReady")  # as /health is

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

# What a server's span is an error by (OpenTelemetry, "Semantic conventions for gRPC").
_OURS = frozenset(
    (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)


class Calls:
    """What all calls have in common."""

    def __init__(self, ledger: Ledger, keys: KeyFile | None, spans: Spans | None) -> None:
        self._ledger = ledger
        self._keys = keys
        self._spans = spans

    async def answered(
        self, context: Exchange, path: str, answer: Answer, instead: Instead | None = None
    ) -> Any:
        """What `answer` returns; what it raises ends the call with the status that fits.

        `path`: of the method, as HTTP/2 has it. `instead`: what is answered in the place of an error; it is
        of no use to one who may not ask.
        """
        scope, started = _scope(context, path), time.perf_counter()
        request_id = request_id_of(scope)
        with self._span(scope, path) as span:
            outcome = await self._outcome(scope, answer)
            told = outcome
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                told = _told(outcome, request_id)
            metadata = [("x-request-id", request_id), *_end(span, told)]
        seconds = time.perf_counter() - started
        if isinstance(told, asyncio.CancelledError):
            self._ledger.record(Entry(scope, CLIENT_CLOSED_REQUEST, "abandoned", seconds))
            raise told
        if isinstance(told, ServiceError):
            self._ledger.record(Entry(scope, told.status, told.slug, seconds))
            if not instead or isinstance(told, Unauthorized):
                await context.abort(*_aborted(told, metadata))
        else:
            self._ledger.record_soon(Entry(scope, 200, None, seconds))
        context.set_trailing_metadata(tuple(metadata))
        return instead(told) if instead and isinstance(told, ServiceError) else told

    def check_key(self, context: Exchange, path: str) -> None:
        """Before there is any message. Raises Unauthorized."""
        self._check_key(_scope(context, path))

    def _check_key(self, scope: Scope) -> None:
        if self._keys and needs_key(scope["path"]):
            check(self._keys, scope)

    async def refuse(self, context: Exchange, path: str, error: Exception) -> None:
        """It ends with that error, whatever is asked."""

        async def answer(_: Scope) -> None:
            raise error

        await self.answered(context, path, answer)

    def _span(self, scope: Scope, path: str) -> AbstractContextManager[Span | None]:
        """Named as OpenTelemetry's conventions for RPC have it."""
        if self._spans is None:
            return nullcontext()
        method = path.removeprefix("/")
        attributes = {"rpc.system.name": "grpc", "rpc.method": method}
        span: AbstractContextManager[Span] = self._spans.around(scope, method, attributes)
        return span

    async def _outcome(self, scope: Scope, answer: Answer) -> Any | BaseException:
        """What is answered or raised, whatever that is: nothing internal reaches the client."""
        try:
            self._check_key(scope)
            return await answer(scope)
        except (Exception, asyncio.CancelledError) as error:  # the border of the last net, `_told`
            return error


def needs_key(path: str) -> bool:
    """Where there are keys: health and reflection are not kept."""
    _, service, method = path.split("/", 2)
    return service == SERVICE and method not in _OPEN


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


def _code(told: Any) -> grpc.StatusCode:
    if isinstance(told, asyncio.CancelledError):
        return grpc.StatusCode.CANCELLED
    if isinstance(told, ServiceError):
        return _CODES.get(told.status, grpc.StatusCode.INTERNAL)
    return grpc.StatusCode.OK


def _aborted(
    error: ServiceError, metadata: list[tuple[str, str]]
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]:
    if error.retry_after_s is not None:
        metadata = [*metadata, ("retry-after", str(error.retry_after_s))]
    return _code(error), shortened(error.detail, LONGEST_DETAIL), tuple(metadata)


def _end(span: Span | None, told: Any) -> list[tuple[str, str]]:
    """Note how the call ended. Returns the metadata by which others continue its trace."""
    if span is None:
        return []
    from service.http.tracing import set_code, traceparents

    set_code(span, _code(told).name, is_error=_code(told) in _OURS)
    return [("traceparent", parent) for parent in traceparents(span)]


def _scope(context: Exchange, path: str) -> Scope:
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
        "client": (context.peer().rpartition(":")[0], 0),  # without its port: each call may come by another
        "state": {"route": path},
        "time_remaining": context.time_remaining,
    }
