"""Errors as RFC 9457 problem details, in answers and in the OpenAPI document."""

import http
import random
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.errors import FieldError, InvalidInput, ServiceError
from service.schemas import Problem, ProblemField

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:problem-type:abacus:"


def problem_response(error: ServiceError, request_id: str) -> Response:
    """Render one of our own errors."""
    problem = Problem(
        type=TYPE_PREFIX + error.slug,
        title=error.title,
        status=error.status,
        detail=error.detail,
        request_id=request_id,
        errors=[ProblemField(**e._asdict()) for e in error.errors] or None,
    )
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 15.5.2
    return _respond(problem, headers)


def http_problem_response(error: HTTPException, request_id: str) -> Response:
    """Render what the framework itself refuses: an unknown path, a wrong method."""
    title = http.HTTPStatus(error.status_code).phrase.capitalize()
    problem = Problem(
        type="about:blank",
        title=title,
        status=error.status_code,
        detail=str(error.detail),
        request_id=request_id,
    )
    return _respond(problem, error.headers or {})


def bare_problem(status: int, detail: str) -> bytes:
    """The document alone, for what is refused before there is a request."""
    title = http.HTTPStatus(status).phrase.capitalize()
    problem = Problem(
        type="about:blank", title=title, status=status, detail=detail, request_id=new_request_id()
    )
    return problem.model_dump_json(exclude_none=True).encode()


def invalid_payload(error: ValidationError | RequestValidationError) -> InvalidInput:
    """Pydantic's findings as one of our errors, without the offending values."""
    errors = tuple(FieldError(_field(item["loc"]), _message(item["msg"])) for item in error.errors())
    what = "; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors[:3])
    return InvalidInput(f"The payload cannot be understood: {what}.", errors)


def error_responses(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that may raise these errors."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        entry = by_status.setdefault(error.status, {"description": error.title})
        if error.title not in entry["description"]:
            entry["description"] += f", or {error.title[0].lower()}{error.title[1:]}"
        entry["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        if error.retry_after_s is not None:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return by_status


def new_request_id() -> str:
    return f"{random.getrandbits(128):032x}"


def request_id_of(request: Request) -> str:
    return str(request.state.request_id)


def _respond(problem: Problem, headers: Mapping[str, str]) -> Response:
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, problem.status, headers, MEDIA_TYPE)


def _field(location: tuple[int | str, ...]) -> str:
    # "one" and "many" are the tags of PassRequest's two forms: no client wrote them.
    return ".".join(str(part) for part in location if part not in ("body", "one", "many"))


def _message(message: str) -> str:
    return message[0].lower() + message[1:]
