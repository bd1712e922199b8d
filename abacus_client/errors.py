"""Everything that can go wrong, as a tree that mirrors the service's own.

AbacusError
├── InputError                 ValueError: what was given cannot be sent
├── NoAnswer                   ConnectionError: nobody answered, however often it was tried
├── TimedOut                   TimeoutError: no answer within `timeout`
├── UnexpectedAnswer           an answer that the service does not give: is it one?
└── ServiceError               the service said no (RFC 9457)
├── Unauthorized           401
├── UnknownModel           404
│   └── UnknownVersion     404
├── RequestTimeout         408
├── LengthRequired         411
├── PayloadTooLarge        413
├── UnsupportedMediaType   415
│   └── UnsupportedCoding  415
├── InvalidInput           422
│   └── InvalidImage       422
│       ├── BlankImage     422
│       ├── TooManyPixels  422
│       └── PictureTooCostly  422
├── Overloaded             429
├── InternalError          500
│   └── InferenceFailed    500
├── NotReady               503
├── NotLive                503
└── DeadlineExceeded       504, also a TimedOut
"""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

TYPE_PREFIX = "urn:problem-type:abacus:"


class ProblemField(BaseModel):
    """One thing that is wrong with one part of what was sent, such as `hours.3`."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details, as the service gives them."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ProblemField] | None = None
    more_errors: int | None = None


class AbacusError(Exception):
    """Base of all. `index`: which of several inputs it is about, counted from 0; None of a single one."""

    index: int | None = None


class InputError(AbacusError, ValueError):
    """A file that cannot be opened, an array that is no picture, a value that JSON has no form for."""


class NoAnswer(AbacusError, ConnectionError):
    """No connection, or one that ended before the answer."""


class TimedOut(AbacusError, TimeoutError):
    """The time that was given is over."""


class UnexpectedAnswer(AbacusError):
    """What came back is not what an Abacus answers."""


class ServiceError(AbacusError):
    """What the service refused or failed at. `retry_after_s`: when it said to come again, if it did."""

    slug: ClassVar[str] = ""

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        """Copied and pickled by what it is made of; exceptions are by what they say."""
        return type(self), (self.problem, self.retry_after_s), self.__dict__

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def request_id(self) -> str:
        """Under which the service's log has it."""
        return self.problem.request_id

    @property
    def errors(self) -> list[ProblemField]:
        """What is wrong with which field, where the service says so."""
        return self.problem.errors or []


class Unauthorized(ServiceError):
    slug = "unauthorized"


class UnknownModel(ServiceError):
    slug = "unknown-model"


class UnknownVersion(UnknownModel):
    slug = "unknown-version"


class RequestTimeout(ServiceError, TimedOut):
    slug = "request-timeout"


class LengthRequired(ServiceError):
    slug = "length-required"


class PayloadTooLarge(ServiceError):
    slug = "payload-too-large"


class UnsupportedMediaType(ServiceError):
    slug = "unsupported-media-type"


class UnsupportedCoding(UnsupportedMediaType):
    slug = "unsupported-coding"


class InvalidInput(ServiceError):
    slug = "invalid-input"


class InvalidImage(InvalidInput):
    slug = "invalid-image"


class BlankImage(InvalidImage):
    slug = "blank-image"


class TooManyPixels(InvalidImage):
    slug = "too-many-pixels"


class PictureTooCostly(InvalidImage):
    slug = "picture-too-costly"


class Overloaded(ServiceError):
    slug = "overloaded"


class InternalError(ServiceError):
    slug = "internal-error"


class InferenceFailed(InternalError):
    slug = "inference-failed"


class NotReady(ServiceError):
    slug = "not-ready"


class NotLive(ServiceError):
    slug = "not-live"


class DeadlineExceeded(ServiceError, TimedOut):
    slug = "deadline-exceeded"


# What a proxy may say in the service's place, without a type of ours.
_BY_STATUS: dict[int, type[ServiceError]] = {
    401: Unauthorized,
    408: RequestTimeout,
    413: PayloadTooLarge,
    429: Overloaded,
    502: NotReady,
    503: NotReady,
    504: DeadlineExceeded,
}


def error_of(problem: Problem, retry_after_s: float | None = None) -> ServiceError:
    """The class that its type names, or of a type that is not ours its status; else ServiceError itself."""
    if not problem.type.startswith(TYPE_PREFIX):
        return _BY_STATUS.get(problem.status, ServiceError)(problem, retry_after_s)
    for error in _below(ServiceError):
        if problem.type == TYPE_PREFIX + error.slug:
            return error(problem, retry_after_s)
    return ServiceError(problem, retry_after_s)


def _below(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for child in error.__subclasses__():
        yield child
        yield from _below(child)
