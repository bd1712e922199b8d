"""What both clients have in common: where the service is, what it is asked, and how much at a time."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple

import httpx
from typing_extensions import TypeVar  # with defaults (PEP 696)

from abacus_client.asking import PICTURES, ROWS, Outcome, Question, quoted, read
from abacus_client.catalogue import Manifest, Model
from abacus_client.errors import (
    TYPE_PREFIX,
    AbacusError,
    InputError,
    InvalidInput,
    NotReady,
    Problem,
    UnexpectedAnswer,
    UnknownModel,
)
from abacus_client.pictures import Picture
from abacus_client.results import Prediction
from abacus_client.retrying import Attempts, check_timeout, errors_translated
from abacus_client.rows import AnyRow

# One input; and the class of answer that is expected.
One = Picture | AnyRow
P = TypeVar("P", bound=Prediction, default=Prediction)

# The service keeps a connection for 75 s; one that is older is not used again.
KEEP_ALIVE_S = 60

_PORTS = range(1, 65536)


class Connecting(NamedTuple):
    """`concurrency`: how many requests at a time for several inputs. `retries`: of one request."""

    address: str
    api_key: str | None
    timeout_s: float
    retries: int
    concurrency: int

    def checked(self) -> "Connecting":
        """Raises InputError."""
        if self.concurrency < 1 or self.retries < 0:
            raise InputError("concurrency is at least 1, retries at least 0.")
        check_timeout(self.timeout_s)
        with errors_translated():
            url = httpx.URL(self.address)
        # A port beyond that is another one to the system: what is above its 16 bits is cut off.
        if (
            url.scheme not in ("http", "https")
            or not url.host
            or (url.port is not None and url.port not in _PORTS)
        ):
            raise InputError(f"{self.address!r} is no address such as http://127.0.0.1:8000.")
        return self

    def options(self) -> dict[str, Any]:
        """Of httpx."""
        key = {} if self.api_key is None else {"X-API-Key": self.api_key}
        return {
            "base_url": self.address,
            "headers": {"Accept": "application/json", "User-Agent": "abacus-client", **key},
            "limits": httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
        }

    def attempts(self, options: "Options") -> Attempts:
        """For one request. Raises InputError."""
        timeout_s = self.timeout_s if options.timeout_s is None else options.timeout_s
        return Attempts(timeout_s, self.retries)


class Options(NamedTuple):
    """Of one call: see `Client.predict`."""

    version: int | None = None
    explain: bool = False
    each: bool = False
    top: int | None = None
    batch: int | None = None
    timeout_s: float | None = None
    request_id: str | None = None
    return_errors: bool = False
    result: type[Prediction] = Prediction

    def headers(self, others: Mapping[str, str]) -> dict[str, str]:
        """The id that it is logged under is the same for all attempts."""
        return {**others, "X-Request-ID": self.request_id or uuid.uuid4().hex}

    def question(self, manifest: Manifest) -> Question:
        """Raises InputError."""
        if self.each and manifest.kind != "digit":
            raise InputError(f"each is for models of digits; {manifest.name} is none.")
        query: Mapping[str, str] = {
            **({"explain": "true"} if self.explain else {}),
            **({"each": "true"} if self.each else {}),
            **({} if self.top is None else {"top": str(self.top)}),
        }
        most = ROWS if manifest.takes_rows else PICTURES
        batch = 1 if self.explain or self.each else most if self.batch is None else min(most, self.batch)
        if batch < 1:
            raise InputError("batch is at least 1.")
        return Question(manifest, self.version, query, batch, self.each)


NO_OPTIONS = Options()
NO_HEADERS: Mapping[str, str] = {}


def model_path(name: str) -> str:
    """Raises InputError."""
    return f"models/{quoted(name)}"


def manifest_in(response: httpx.Response) -> Manifest:
    """Of what is said of one model. Raises UnexpectedAnswer or NotReady."""
    model = read(Model, response)
    if model.manifest is None:
        detail = f"{model.name} is not ready: {model.refused or 'no version is loaded'}."
        request_id = response.headers.get("X-Request-ID", "")
        problem = Problem(
            type=TYPE_PREFIX + NotReady.slug,
            title="Not ready",
            status=503,
            detail=detail,
            request_id=request_id,
        )
        raise NotReady(problem)
    return model.manifest


def is_doubtful(question: Question, outcomes: Sequence[Outcome]) -> bool:
    """Whether another version may be live than the manifest is of."""
    return any(
        isinstance(outcome, InputError | InvalidInput | UnknownModel)
        or (
            isinstance(outcome, Prediction)
            and question.version is None
            and outcome.version != question.manifest.version
        )
        for outcome in outcomes
    )


@contextmanager
def doubted(manifests: dict[str, Manifest], name: str) -> Iterator[None]:
    """What does not fit a manifest may fit that of another version, which is asked for next time."""
    try:
        yield
    except InputError:
        manifests.pop(name, None)
        raise


def expected(prediction: Prediction, result: type[Prediction]) -> None:
    """Raises UnexpectedAnswer."""
    if not isinstance(prediction, result):
        raise UnexpectedAnswer(
            f"{prediction.model} answers {type(prediction).__name__}, not {result.__name__}."
        )


def only(outcomes: Sequence[Outcome], options: Options) -> Prediction:
    """Of a single input. Raises AbacusError."""
    (outcome,) = outcomes
    if isinstance(outcome, AbacusError):
        raise outcome
    expected(outcome, options.result)
    return outcome


def told(outcomes: Sequence[Outcome], first: int, options: Options) -> Iterator[Any]:
    """For inputs from the place `first` on; the first error is raised, unless errors are to be returned."""
    for place, outcome in enumerate(outcomes, first):
        if isinstance(outcome, Prediction):
            expected(outcome, options.result)
        else:
            if outcome.index is not None:  # of the input before, with which it was sent
                outcome = copy(outcome)
            outcome.index = place
            if not options.return_errors:
                raise outcome
        yield outcome
