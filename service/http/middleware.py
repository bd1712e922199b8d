"""Around every request, as pure ASGI: its id, its errors, its line in the log, and the last net."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import InternalError, ServiceError
from service.http.trace_context import trace_id_in
from service.problems import problem_response
from service.request_id import request_id_of
from service.serving.call import Abandoned, Prediction
from service.serving.metrics import Metrics

logger = logging.getLogger("service.access")

CLIENT_CLOSED_REQUEST = 499

# Some servers pass on whatever a client calls its method, and each would be a series of its own.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))


class Entry(NamedTuple):
    """A request that is over. `reason`: why it was not served."""

    scope: Scope
    status: int
    reason: str | None
    seconds: float


class Ledger:
    """What is noted of every request that is over: its metrics, and its line in the log."""

    def __init__(self, metrics: Metrics, access_log: bool) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._answered: list[Entry] = []

    def record(self, entry: Entry) -> None:
        self._record_all([entry])

    def record_soon(self, entry: Entry) -> None:
        """Once all that is answered in this turn of the event loop is on its way, and all of it at once."""
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._record_answered)
        self._answered.append(entry)

    def _record_answered(self) -> None:
        answered, self._answered = self._answered, []
        self._record_all(answered)

    def _record_all(self, requests: Sequence[Entry]) -> None:
        groups: dict[tuple[str, str, int, str | None], list[Entry]] = defaultdict(list)
        for entry in requests:
            route = route_of(entry.scope) or "unmatched"
            method = entry.scope["method"] if entry.scope["method"] in METHODS else "other"
            groups[method, route, entry.status, entry.reason].append(entry)
        for (method, route, status, reason), group in groups.items():
            self._metrics.requests(method, route, status).inc(len(group))
            self._metrics.seconds(route).observe_all([entry.seconds for entry in group])
            if reason:
                self._metrics.rejections(route, reason).inc(len(group))
            self._record_stages([p for entry in group if (p := entry.scope["state"].get("prediction"))])
            if self._access_log:
                for entry in group:
                    _log(entry)

    def _record_stages(self, predictions: Sequence[Prediction]) -> None:
        versions: dict[tuple[str | int, str | int], list[Mapping[str, float]]] = defaultdict(list)
        for served_by, stages, _ in predictions:
            versions[served_by["model"], served_by["version"]].append(stages)
        for (model, version), spent in versions.items():
            self._metrics.predictions(model, version).inc(len(spent))
            for stage in spent[0]:
                of_stage = self._metrics.stages(model, version, stage)
                of_stage.observe_all([stages[stage] for stages in spent])


def _log(entry: Entry) -> None:
    state = entry.scope["state"]
    trace_id = state.get("trace_id") or trace_id_in(entry.scope["headers"])
    served_by, stages, _ = state.get("prediction", ({}, {}, 0))
    logger.info(
        "request",
        extra={
            "method": entry.scope["method"],
            "path": quote(get_route_path(entry.scope)),
            "status": entry.status,
            "request_id": state["request_id"],
            **({"trace_id": trace_id} if trace_id else {}),
            **({"caller": state["caller"]} if "caller" in state else {}),
            **served_by,
            **{f"{stage}_ms": round(1000 * s, 3) for stage, s in stages.items()},
            "total_ms": round(1000 * entry.seconds, 3),
        },
    )


class RequestContext:
    """Gives every request an id, echoed in `X-Request-ID`; answers its errors; a crash is a bare 500."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        started, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        reason = None
        try:
            try:
                await self._app(scope, receive, send_with_id)
            except ServiceError as error:
                reason = error.slug
                if error.status == 500:
                    logger.error("request failed id=%s", request_id, exc_info=error)
                await problem_response(error, request_id, get_route_path(scope))(
                    scope, receive, send_with_id
                )
        except (ClientDisconnect, Abandoned):
            status, reason = CLIENT_CLOSED_REQUEST, "abandoned"
        except asyncio.CancelledError:  # whoever called the application waits no longer
            if not status:
                status, reason = CLIENT_CLOSED_REQUEST, "abandoned"
            raise
        except Exception:  # the last net: nothing internal may reach the client
            logger.exception("request failed id=%s", request_id)
            if status:
                raise  # the answer has begun: only closing the connection tells the client
            path = get_route_path(scope)
            await problem_response(InternalError(), request_id, path)(scope, receive, send_with_id)
        finally:
            self._ledger.record(Entry(scope, status, reason, time.perf_counter() - started))


def route_of(scope: Scope) -> str | None:
    """The path as it is declared, so that what clients make up does not fill the metrics."""
    if known := scope["state"].get("route"):
        return str(known)
    route = scope.get("route")
    return str(route.path) if route else None
