"""Parameters of a request, of its inputs and outputs: whatever a client sends, and what is read of it."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from service.errors import InvalidRequest

MAX_LENGTH = 2**63 - 1

Parameters = dict[str, Any]


def _or_nothing(value: Any) -> Any:
    return {} if value is None else value


OrNothing = Annotated[Parameters, BeforeValidator(_or_nothing)]


def flag(parameters: Parameters, name: str) -> bool | None:
    """Raises InvalidRequest."""
    value = parameters.get(name)
    if isinstance(value, bool | None):
        return value
    raise InvalidRequest(f"The parameter {name} must be true or false.")


def whole(parameters: Parameters, name: str) -> int:
    """0 where it is not there. Raises InvalidRequest."""
    value = parameters.get(name)
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_LENGTH:
        return value
    raise InvalidRequest(f"The parameter {name} must be a whole number of at least 0.")
