"""Which requests may be answered directly: those to a model, by the path of it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import State
from starlette.types import Scope

from service.endpoints import dispatch
from service.endpoints.answer import accepted
from service.endpoints.dispatch import Target
from service.endpoints.endpoint import Endpoint
from service.errors import ServiceError
from service.fast_path.calls import FastCall, OnDone, attempt
from service.fast_path.inferences import InferCall
from service.fast_path.predictions import PredictCall
from service.http.auth import check
from service.protocol import infer
from service.request_id import request_id_of
from service.serving.exposition import PROTOCOL_ROUTE, ROUTE

# In the state of a request that a connection has left to ASGI: it is tried once.
LEFT = "left"

_KINDS = (
    (dispatch.target_of, ROUTE.format, PredictCall),
    (infer.target_of, PROTOCOL_ROUTE.format, InferCall),
)


def paths_of(app: Any) -> "FastPaths | None":
    """The fast paths of an application, shared by its connections; None where all requests need ASGI."""
    if not hasattr(app.state, "fast_paths"):
        app.state.fast_paths = FastPaths(app.state) if app.has_fast_path else None
    return app.state.fast_paths  # type: ignore[no-any-return]


class FastPaths(dict[bytes, "FastPath"]):
    """Fast paths by URL, of models and versions that are loaded: made when first asked for, and kept.

    None: ASGI has it.
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state

    def __missing__(self, url: bytes) -> "FastPath | None":
        path = url.decode("latin-1")
        for target_of, route_of_model, kind in _KINDS:
            target = target_of(path)
            if target and self._is_there(target):
                found = self[url] = FastPath(target, route_of_model(target.name), kind, self._state)
                return found
        return None

    def _is_there(self, target: Target) -> bool:
        try:
            self._state.backend.served(*target)
        except ServiceError:
            return False
        return True


def has_a_plain_head(headers: Sequence[tuple[bytes, bytes]], fields: Mapping[bytes, bytes]) -> bool:
    """Whether the body is all that has to be understood. `fields`: the `headers`, by name."""
    return (
        len(fields) == len(headers)
        and (b"content-length" in fields or fields.get(b"transfer-encoding") == b"chunked")
        and not (b"content-encoding" in fields or b"expect" in fields)
    )


class FastPath:
    """The path to one model, or one version of it; where the service has keys, for those who show one."""

    def __init__(self, target: Target, route: str, kind: type[FastCall], state: State) -> None:
        """`route`: the model's, in metrics."""
        self._name, self._version = target
        self._route = route
        self._kind = kind
        self._backend = state.backend
        self._ledger = state.ledger
        self._keys = state.keys
        self._arrived: list[FastCall] = []

    def begin(
        self, scope: Scope, fields: Mapping[bytes, bytes], body: bytes, on_done: OnDone
    ) -> FastCall | None:
        """Begin to answer; `on_done` is called later, on the event loop. None: it is left to ASGI."""
        call = attempt(self._admitted, scope, fields, body, on_done)
        if call:
            self._arrived.append(call)
            if len(self._arrived) == 1:
                asyncio.get_running_loop().call_soon(self._decode_all)
        return call

    def _admitted(
        self, scope: Scope, fields: Mapping[bytes, bytes], body: bytes, on_done: OnDone
    ) -> FastCall | None:
        """Raises ServiceError."""
        if b"accept" in fields and accepted(fields[b"accept"]) != "json":
            return None
        if self._keys:
            check(self._keys, scope)
        served = self._backend.served(self._name, self._version)
        if served.canary and not self._version and served.canary.takes(request_id_of(scope)):
            return None
        scope["state"]["route"] = self._route
        return self._kind(scope, fields, body, on_done, served, self._backend, self._ledger)

    def _decode_all(self) -> None:
        """Read what has arrived, all of it before any is answered."""
        arrived, self._arrived = self._arrived, []
        served = arrived[0].served
        if any(call.served is not served for call in arrived):  # another version became live meanwhile
            for call in arrived:
                self._decode(call.served.endpoint, [call])
        else:
            self._decode(served.endpoint, arrived)

    def _decode(self, endpoint: Endpoint, calls: Sequence[FastCall]) -> None:
        read = attempt(self._kind.read, endpoint, calls) or [None] * len(calls)
        for call, of_call in zip(calls, read, strict=True):
            call.decode(of_call)
