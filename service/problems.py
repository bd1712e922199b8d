"""Errors as RFC 9457 problem details, in answers and in the OpenAPI document."""

import http
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import SHOWN_ERRORS, FieldError, InvalidInput, ServiceError

T = TypeVar("T")

MEDIA_TYPE = "application/problem+json"

# Below it the Open Inference Protocol is spoken, whose clients know errors of its own and just this type.
PROTOCOL, PROTOCOL_MEDIA_TYPE = "/v2", "application/json"

TYPE_PREFIX = "urn:problem-type:abacus:"

# Of what a client wrote so many characters are told back, as a name and in all; so many faults in words.
LONGEST_NAME, LONGEST_DETAIL, TOLD_ERRORS = 80, 600, 3


class ProblemField(BaseModel):
    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ProblemField] | None = Field(None, max_length=SHOWN_ERRORS)
    more_errors: int | None = Field(
        None,
        description="How many more there are than `errors` has; of a document that is too large to be read"
        " whole, how many more values.",
    )


class ProtocolProblem(Problem):
    """What the Open Inference Protocol has for errors, and what RFC 9457 has."""

    error: str = Field(description="The same as `detail`.")


def problem_response(error: ServiceError, request_id: str, path: str = "") -> Response:
    """Render one of our own errors, as the clients of that path know them."""
    problem = Problem(
        type=TYPE_PREFIX + error.slug,
        title=error.title,
        status=error.status,
        detail=shortened(error.detail, LONGEST_DETAIL),
        request_id=request_id,
        errors=[_field_of(e) for e in error.errors] or None,
        more_errors=error.more or None,
    )
    headers = dict(error.fields)
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    body, media_type = _document(problem, path)
    return Response(body, error.status, headers, media_type)


def http_problem_response(error: HTTPException, request_id: str, path: str) -> Response:
    """Render what the framework itself refuses: an unknown path, a wrong method."""
    detail = shortened(str(error.detail), LONGEST_DETAIL)
    body, media_type = bare_problem(error.status_code, detail, request_id, path)
    return Response(body, error.status_code, error.headers, media_type)


def bare_problem(status: int, detail: str, request_id: str, path: str) -> tuple[bytes, str]:
    """The document alone, and its type, of what HTTP itself says of that status."""
    title = http.HTTPStatus(status).phrase.capitalize()
    problem = Problem(type="about:blank", title=title, status=status, detail=detail, request_id=request_id)
    return _document(problem, path)


def found_in(error: ValidationError, first: int = 0, least_depth: int = 0) -> list[FieldError]:
    """Pydantic's findings as ours, without the values.

    `first`: the place of a list's first item. Only those that lie so deep are told.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    deep = [item for item in found if len(item["loc"]) >= least_depth]
    return [FieldError(_field(item["loc"], first), _message(item["msg"])) for item in deep]


class Findings:
    """What is wrong with something that is looked at in pieces: the first of it, and how much more."""

    def __init__(self) -> None:
        self.first: list[FieldError] = []
        self.more = 0

    def add(self, found: Sequence[FieldError]) -> None:
        room = SHOWN_ERRORS - len(self.first)
        self.first += found[:room]
        self.more += len(found[room:])


def invalid_payload(errors: Sequence[FieldError], more: int = 0) -> InvalidInput:
    """One error that tells of all findings. `more`: how many there are beside `errors`."""
    told = [f"{shortened(e.field)}: {e.message}" if e.field else e.message for e in errors[:TOLD_ERRORS]]
    others = len(errors) + more - len(told)
    what = "; ".join(told) + (f"; and {others:,} more" if others else "")
    return InvalidInput(f"The payload cannot be understood: {what}.", tuple(errors), more)


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """What a client wrote, as far as it is told back."""
    return text if len(text) <= longest else text[:longest] + "…"


def quoted(name: str) -> str:
    """`shortened`, as a word of a sentence."""
    return repr(shortened(name))


def some_of(items: Sequence[T], most: int, told: Callable[[T], str] = str) -> str:
    """The first of them, and how many more there are."""
    others = len(items) - most
    return ", ".join(map(told, items[:most])) + (f" and {others:,} more" if others > 0 else "")


def error_responses(*errors: type[ServiceError], path: str = "") -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route of that path that may raise these errors."""
    problem, media_type = Problem.__name__, MEDIA_TYPE
    if _is_protocol(path):
        problem, media_type = ProtocolProblem.__name__, PROTOCOL_MEDIA_TYPE
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        entry = by_status.setdefault(str(error.status), {"description": error.title})
        if error.title not in entry["description"]:
            entry["description"] += f", or {error.title[0].lower()}{error.title[1:]}"
        entry["content"] = {media_type: {"schema": {"$ref": f"#/components/schemas/{problem}"}}}
        if error.retry_after_s is not None:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return by_status


def _document(problem: Problem, path: str) -> tuple[bytes, str]:
    if _is_protocol(path):
        told = {"error": problem.detail, **problem.model_dump(exclude_none=True)}
        return to_json(told), PROTOCOL_MEDIA_TYPE
    return problem.model_dump_json(exclude_none=True).encode(), MEDIA_TYPE


def _is_protocol(path: str) -> bool:
    return f"{path}/".startswith(f"{PROTOCOL}/")


def _field_of(error: FieldError) -> ProblemField:
    return ProblemField(field=shortened(error.field), message=shortened(error.message, LONGEST_DETAIL))


def _field(location: tuple[int | str, ...], first: int) -> str:
    return ".".join(
        str(part + first) if isinstance(part, int) else shortened(part) or '""' for part in location
    )


def _message(message: str) -> str:
    return message[0].lower() + message[1:]
