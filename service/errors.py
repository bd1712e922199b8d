"""Everything that can go wrong with a request, each with the HTTP status that it means.

    ServiceError
    ├── InvalidRequest         400
    ├── Unauthorized           401
    ├── UnknownModel           404
    │   └── UnknownVersion     404
    ├── ReadOnlyRepository     405
    ├── RequestTimeout         408
    ├── LengthRequired         411
    ├── PayloadTooLarge        413
    ├── UnsupportedMediaType   415
    │   └── UnsupportedCoding  415 + Accept-Encoding
    ├── InvalidInput           422
    │   └── InvalidImage       422
    │       ├── BlankImage     422
    │       ├── TooManyPixels  422
    │       └── PictureTooCostly  422
    ├── Overloaded             429 + Retry-After
    ├── InternalError          500
    │   └── InferenceFailed    500
    ├── NotReady               503 + Retry-After
    ├── NotLive                503 + Retry-After
    └── DeadlineExceeded       504

Statuses are plain integers: this module knows no web framework. `problems` renders it as RFC 9457.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple, TypeVar

T = TypeVar("T")

# So many things that are wrong with a payload are told; of the others, how many they are.
SHOWN_ERRORS = 20


class FieldError(NamedTuple):
    """One thing wrong with one part of a payload; `field` is a dotted path such as `hours.3`."""

    field: str
    message: str


class ServiceError(Exception):
    """Base of all errors that a client is told about; `detail` is shown to the client as it is.

    `more`: how many more things are wrong with the payload than `errors` has.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal server error"
    slug: ClassVar[str] = "internal-error"
    retry_after_s: int | None = None
    fields: Mapping[str, str] = {}  # of the answer's head; it is not written to

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = (), more: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors[:SHOWN_ERRORS]
        self.more = more + len(errors[SHOWN_ERRORS:])


class InvalidRequest(ServiceError):
    """The Open Inference Protocol has this one status for whatever is wrong with a request."""

    status, title, slug = 400, "Invalid request", "invalid-request"


class Unauthorized(ServiceError):
    status, title, slug = 401, "Unauthorized", "unauthorized"
    fields: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}  # RFC 9110, section 15.5.2


class UnknownModel(ServiceError):
    status, title, slug = 404, "Unknown model", "unknown-model"


class UnknownVersion(UnknownModel):
    """It may be published, but is not loaded."""

    title, slug = "Unknown version", "unknown-version"


class ReadOnlyRepository(ServiceError):
    """What is served is decided in the store, and by no request."""

    status, title, slug = 405, "Read-only repository", "read-only-repository"
    fields: Mapping[str, str] = {"Allow": "OPTIONS"}  # RFC 9110, section 15.5.6

    def __init__(self, name: str) -> None:
        super().__init__(
            f"No request loads or unloads {name!r}: what lies in the store is served. Publish a version, or"
            " activate another: python -m service models activate."
        )


class RequestTimeout(ServiceError):
    """The client did not send its request in time."""

    status, title, slug = 408, "Request timeout", "request-timeout"


class LengthRequired(ServiceError):
    status, title, slug = 411, "Length required", "length-required"


class PayloadTooLarge(ServiceError):
    status, title, slug = 413, "Payload too large", "payload-too-large"


class UnsupportedMediaType(ServiceError):
    status, title, slug = 415, "Unsupported media type", "unsupported-media-type"


class UnsupportedCoding(UnsupportedMediaType):
    """The content is compressed or otherwise encoded."""

    title, slug = "Unsupported content coding", "unsupported-coding"

    def __init__(self, detail: str, read: Sequence[str] = ()) -> None:
        """`read`: the codings that are."""
        super().__init__(detail)
        self.fields = {"Accept-Encoding": ", ".join(read) or "identity"}  # RFC 9110, section 15.5.16


class InvalidInput(ServiceError):
    status, title, slug = 422, "Invalid input", "invalid-input"


class InvalidImage(InvalidInput):
    title, slug = "Invalid image", "invalid-image"


class BlankImage(InvalidImage):
    title, slug = "Blank image", "blank-image"

    def __init__(self) -> None:
        super().__init__(
            "The picture is blank: nothing on it stands out from its ground but grain, specks or lines."
        )


class TooManyPixels(InvalidImage):
    title, slug = "Too many pixels", "too-many-pixels"


class PictureTooCostly(InvalidImage):
    """Reading it takes more work or memory than is spent on one picture, whatever its size."""

    title, slug = "Picture too costly", "picture-too-costly"


class Overloaded(ServiceError):
    """More is under way than we take on."""

    status, title, slug = 429, "Too many requests", "overloaded"
    retry_after_s = 1

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class InternalError(ServiceError):
    """A fault of ours. The cause goes to the log; the client learns only the request id."""

    def __init__(self, cause: str = "") -> None:
        super().__init__("The service failed. Its log has the cause under this request id.")
        self.args = (cause,)


class InferenceFailed(InternalError):
    title, slug = "Inference failed", "inference-failed"

    @classmethod
    def told(cls, error: Exception) -> ServiceError:
        """What the client is told when a model fails; the cause goes to the log."""
        if isinstance(error, ServiceError):
            return error
        failure = cls(str(error))
        failure.__cause__ = error
        return failure


class NotReady(ServiceError):
    status, title, slug = 503, "Not ready", "not-ready"
    retry_after_s = 5


class NotLive(ServiceError):
    """The process computes what does not end, and is about to."""

    status, title, slug = 503, "Not live", "not-live"
    retry_after_s = 5


class DeadlineExceeded(ServiceError):
    """The answer would come too late; what was not yet computed is not computed."""

    status, title, slug = 504, "Deadline exceeded", "deadline-exceeded"


class DeviceUnavailable(Exception):
    """The device that was asked for is not on this machine: the service does not start."""


def outcome(function: Callable[..., T], *arguments: object) -> T | Exception:
    """What `function` returns or raises, whatever that is: for those who have to go on in any case."""
    try:
        return function(*arguments)
    except Exception as error:  # the border to what others wrote: a model, above all
        return error
