"""How long is waited for an answer, and what is asked again.

Again: after 429, 502 and 503, when `Retry-After` says so or a little later each time; and where no
connection was made, or it ended before the answer. What was answered is not asked again, nor what took too
long.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from abacus_client.errors import (
    AbacusError,
    InputError,
    NoAnswer,
    Problem,
    ServiceError,
    TimedOut,
    UnexpectedAnswer,
    error_of,
)

_AGAIN = frozenset({429, 502, 503})
# A header that is not ASCII, a name of a host or a port that cannot be one.
_UNSENDABLE = (ValueError, OverflowError)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0

LONGEST_S = 1_000_000_000  # what sockets can be told

# So much later than the service a client gives up, to be told by it.
GRACE_S = 0.5


def check_timeout(timeout_s: float) -> None:
    """Raises InputError."""
    if not 0 < timeout_s <= LONGEST_S:
        raise InputError(f"The timeout is a number of seconds above 0, and at most {LONGEST_S:,}.")


class Attempts:
    """Those of one request, within `timeout_s` in all."""

    def __init__(self, timeout_s: float, retries: int) -> None:
        check_timeout(timeout_s)
        self._deadline = time.monotonic() + timeout_s
        self._left = retries
        self._wait_s = FIRST_WAIT_S

    @property
    def remaining_s(self) -> float:
        return self._deadline - time.monotonic()

    def give_up_s(self) -> float:
        """How long the next one may take."""
        return max(0.0, self.remaining_s) + GRACE_S

    def check(self) -> None:
        """Raises TimeoutError once it is given up."""
        if self.remaining_s < -GRACE_S:
            raise TimeoutError

    def headers(self) -> dict[str, str]:
        """What the service is told of it."""
        return {"X-Request-Timeout-Ms": str(max(1, int(1000 * self.remaining_s)))}

    def wait_s(self, error: AbacusError) -> float:
        """How long to wait before the next. Raises the error where there is none."""
        if self._left <= 0 or not _is_asked_again(error):
            raise error
        self._left -= 1
        asked = error.retry_after_s if isinstance(error, ServiceError) else None
        wait_s = self._wait_s * random.uniform(0.5, 1) if asked is None else asked
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        if wait_s >= self.remaining_s:
            raise error
        return wait_s


def _is_asked_again(error: AbacusError) -> bool:
    return isinstance(error, NoAnswer) or (isinstance(error, ServiceError) and error.status in _AGAIN)


@contextmanager
def errors_translated() -> Iterator[None]:
    """Httpx's into ours."""
    try:
        yield
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, *_UNSENDABLE) as error:
        raise InputError(f"This cannot be sent: {error}") from error
    except httpx.ConnectTimeout as error:
        raise NoAnswer("No connection was made in time.") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise TimedOut("There was no answer in time.") from error
    except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as error:
        raise NoAnswer(str(error) or "The connection ended before the answer.") from error
    except httpx.HTTPError as error:
        raise UnexpectedAnswer(str(error)) from error


def checked(response: httpx.Response) -> httpx.Response:
    """Raises ServiceError for what is no success, UnexpectedAnswer for a redirect."""
    if response.is_success:
        return response
    if not response.is_error:
        raise UnexpectedAnswer(f"{response.url} answered {response.status_code}: is it an Abacus?")
    raise error_of(_problem_in(response), retry_after_s(response.headers.get("Retry-After")))


def _problem_in(response: httpx.Response) -> Problem:
    """What stands between may answer in another form."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        phrase = response.reason_phrase or "error"
        return Problem(
            type="about:blank",
            title=phrase,
            status=response.status_code,
            detail=f"{response.url} answered {response.status_code} ({phrase}).",
            request_id=response.headers.get("X-Request-ID", ""),
        )


def retry_after_s(header: str | None) -> float | None:
    """Seconds, or a date (RFC 9110, section 10.2.3); None where it says neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(
        0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    )
