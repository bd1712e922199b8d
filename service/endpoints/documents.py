"""JSON documents → models, at a bounded cost.

One call of pydantic holds up everyone until it returns, and makes an error of everything that is wrong. So
a document is parsed once, its lists are validated piece by piece, and no more is told than helps. Of one
that is larger than any right one no more than the head is parsed: for what to say.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from service.errors import SHOWN_ERRORS, FieldError, InvalidInput, PayloadTooLarge
from service.problems import found_in, invalid_payload
from service.serving.steps import Steps, taken

M = TypeVar("M", bound=BaseModel)

# So much is parsed and validated in one go; of a list so many items at a time.
SMALL_BYTES, PIECE = 2 * 1024, 128

# A document is read whole up to so many bytes for each of its values, with so many keys, lists and objects.
# Of any other so many bytes are looked at.
BYTES_A_VALUE, MAX_KEYS, MAX_NESTED, HEAD_BYTES = 40, 512, 64, 2 * 1024

# More is not even received.
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024

_COUNTED_BYTES = 64 * 1024  # at a time


class _Size(NamedTuple):
    values: int
    keys: int
    nested: int


def read(model: type[M], document: bytes, max_values: int) -> M:
    """Validate a document of at most `max_values` numbers and strings, at once: it should be small.

    Raises InvalidInput, which lists SHOWN_ERRORS at most and says how many there are, or PayloadTooLarge.
    """
    if len(document) > SMALL_BYTES:
        return taken(reading(model, document, max_values))
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        taken(_check_pieces(model, _parsed(document)))
        raise invalid_payload(found_in(error)) from None


def reading(model: type[M], document: bytes, max_values: int) -> Steps[M]:
    """`read`, in steps."""
    yield from _check_size(model, document, max_values)
    value = _parsed(document)
    yield
    yield from _check_pieces(model, value)
    try:
        return model.model_validate(value)
    except ValidationError:
        pass  # of a list that is too long, as of all that is wrong, pydantic tells as it does of JSON
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        raise invalid_payload(found_in(error)) from None


def _check_size(model: type[BaseModel], document: bytes, max_values: int) -> Steps[None]:
    """Raises InvalidInput or PayloadTooLarge where parsing it whole might take long."""
    size, most_bytes = (yield from _size(document)), max_values * BYTES_A_VALUE
    # A value too many, or a key, is told better by the model itself.
    too_many = size.values > max_values + MAX_KEYS
    if not too_many and size.keys <= MAX_KEYS and size.nested <= MAX_NESTED and len(document) <= most_bytes:
        return
    errors, _ = taken(_errors(model, _parsed(document[:HEAD_BYTES], partial=True), partial=True))
    if errors:
        raise invalid_payload(errors, size.values - len(errors))
    if too_many:
        raise InvalidInput(f"The document has {size.values:,} values; at most {max_values:,} are read.")
    if len(document) > most_bytes:
        raise PayloadTooLarge(f"The document is over the limit of {most_bytes:,} bytes.")
    raise InvalidInput("The document has more keys, lists or objects than any that is understood.")


def _check_pieces(model: type[BaseModel], value: Any) -> Steps[None]:
    """Raises InvalidInput for what is wrong with any part of a document."""
    errors, more = yield from _errors(model, value)
    if errors:
        raise invalid_payload(errors, more)


def _parsed(document: bytes, partial: bool = False) -> Any:
    try:
        return from_json(document, allow_partial=partial)
    except ValueError as error:
        raise invalid_payload([FieldError("", f"invalid JSON: {error}")]) from None


def _errors(
    model: type[BaseModel], value: Any, partial: bool = False
) -> Steps[tuple[list[FieldError], int]]:
    """The first of what is wrong with a value, and how much more is. `partial`: keys may come behind it."""
    errors: list[FieldError] = []
    more = 0
    for key, first, piece in _pieces(model, value):
        yield
        if error := _refusal(model, piece):
            if len(errors) == SHOWN_ERRORS:
                more += error.error_count()
                continue
            found = found_in(error, first)
            if first:  # of the other keys the first piece has told
                found = [e for e in found if e.field.startswith(f"{key}.")]
            if partial:
                found = [e for e in found if e.field not in model.model_fields]
            room = SHOWN_ERRORS - len(errors)
            errors += found[:room]
            more += len(found[room:])
    return errors, more


def _refusal(model: type[BaseModel], piece: Any) -> ValidationError | None:
    """What pydantic says of a piece, as JSON. It takes a right one quicker as it is."""
    try:
        model.model_validate(piece)
    except ValidationError:
        pass
    else:
        return None
    try:
        model.model_validate_json(to_json(piece, inf_nan_mode="constants"))
    except ValidationError as error:
        return error
    return None


def _pieces(model: type[BaseModel], value: Any) -> Iterator[tuple[str, int, Any]]:
    """A document, its lists cut to PIECE items; then what was cut off, with its key and place."""
    if not isinstance(value, dict):
        yield "", 0, value
        return
    lists = {key: value[key] for key in model.model_fields if isinstance(value.get(key), list)}
    yield "", 0, value | {key: items[:PIECE] for key, items in lists.items()}
    for key, items in lists.items():
        for first in range(PIECE, len(items), PIECE):
            yield key, first, {key: items[first : first + PIECE]}


def _size(document: bytes) -> Steps[_Size]:
    values, keys, nested = 1, 0, 0
    for at in range(0, len(document), _COUNTED_BYTES):
        yield
        piece = document[at : at + _COUNTED_BYTES]
        values += piece.count(b",")
        keys += piece.count(b":")
        nested += piece.count(b"[") + piece.count(b"{")
    return _Size(values, keys, nested)
