"""The hot path: which model is asked, and its endpoint's answer.

`routes` declares the paths to FastAPI; `app` answers them without it, because the framework's general way
costs more than a prediction (docs/decisions/0005).
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from starlette._utils import get_route_path
from starlette.responses import Response
from starlette.types import Receive, Scope

from service import errors
from service.endpoints.canary import answered_by
from service.endpoints.endpoint import Endpoint
from service.request_id import request_id_of
from service.serving.call import Backend, Call
from service.serving.exposition import ROUTE
from service.serving.served import Served

Answered = Callable[[Scope, Receive, Served, Backend], Awaitable[Response]]

PREFIX = "/predict/"
_VERSIONS = "/versions/"

# What may become of a request to a model, whatever its form.
ERRORS = (
    errors.UnknownModel,
    errors.RequestTimeout,
    errors.LengthRequired,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
    errors.UnsupportedCoding,
    errors.Overloaded,
    errors.InferenceFailed,
    errors.NotReady,
    errors.DeadlineExceeded,
)


class Target(NamedTuple):
    """Which model is asked: the live version, or one that is named."""

    name: str
    version: str | None = None


def target_of(path: str) -> Target | None:
    """None where no model is asked."""
    return target_in(path[len(PREFIX) :]) if path.startswith(PREFIX) else None


def target_in(said: str) -> Target | None:
    """The target that `name` or `name/versions/n` means, as they stand in a path."""
    name, versions, version = said.partition(_VERSIONS)
    if not name or "/" in name or "/" in version:
        return None
    return Target(name, version) if versions else Target(name)


def routed_target(scope: Scope) -> Target | None:
    """As a router has found it: in an application that this one is mounted in the path is longer."""
    routed = scope.get("path_params")
    return Target(routed["name"], routed.get("version")) if routed and "name" in routed else None


async def answer(scope: Scope, receive: Receive) -> Response:
    """A request to a model, as ASGI has it. Raises ServiceError, Abandoned or ClientDisconnect."""
    target = routed_target(scope) or target_of(get_route_path(scope))
    assert target
    return await asked(scope, receive, target, ROUTE.format(target.name), _answered)


async def asked(scope: Scope, receive: Receive, target: Target, route: str, answered: Answered) -> Response:
    """What is `answered` by the version that is asked, or by its canary; `route`: the model's, in metrics.

    Raises ServiceError, Abandoned or ClientDisconnect.
    """
    backend = backend_of(scope)
    if backend.registry.knows(target.name):
        scope["state"]["route"] = route  # so that what clients make up fills no metrics
    served = backend.served(target.name, target.version)
    canary = None if target.version else served.canary
    if canary and canary.takes(request_id_of(scope)):
        return await answered_by(
            canary,
            receive,
            lambda recorded: answered(scope, recorded, canary.served, backend),
            lambda recorded: answered(scope, recorded, backend.served(target.name), backend),
        )
    return await answered(scope, receive, served, backend)


async def _answered(scope: Scope, receive: Receive, served: Served, backend: Backend) -> Response:
    endpoint: Endpoint = served.endpoint
    return await Call(scope, receive, served, backend, endpoint.max_body_bytes).answered(endpoint.answer)


def backend_of(scope: Scope) -> Backend:
    backend: Backend = scope["app"].state.backend
    return backend


async def _backend(request: Request) -> Backend:  # async: FastAPI runs plain functions in a thread
    return backend_of(request.scope)


BackendDep = Annotated[Backend, Depends(_backend)]
