"""JSON documents → what they say, at a bounded cost.

One call of pydantic holds up everyone until it returns, and makes an error of everything that is wrong. So
a document is parsed once, validated piece by piece, and no more is told than helps. Of one that is larger
than any right one no more than the head is parsed: for what to say.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from service.errors import FieldError, InvalidInput, PayloadTooLarge
from service.problems import Findings, found_in, invalid_payload
from service.serving.steps import Steps, taken

# So much is parsed and validated in one go; of a list so many values at a time.
SMALL_BYTES, PIECE = 2 * 1024, 128

# A document is read whole up to so many bytes for each of its values, with so many keys, lists and objects
# beside those that it needs. Of any other so many bytes are looked at.
BYTES_A_VALUE, MAX_KEYS, MAX_NESTED, HEAD_BYTES = 40, 512, 64, 2 * 1024

_COUNTED_BYTES = 64 * 1024  # at a time


class Size(NamedTuple):
    """How much a document holds, by its commas, its colons, and the brackets that open."""

    values: int
    keys: int
    nested: int


class Form(NamedTuple):
    """One way to say something: an object with a value for each of the `fields`, an object with a list for
    each of them (`columns`), or a list of objects (`rows`).

    At most `max_rows` of them; `max_values` numbers and strings, which take up to `bytes_a_value`.
    `within`: what the names and strings of a row may have in themselves.
    """

    adapter: TypeAdapter[Any]
    fields: Sequence[str]
    shape: Literal["row", "columns", "rows"]
    max_rows: int
    bytes_a_value: int = BYTES_A_VALUE
    within: Size = Size(0, 0, 0)

    @property
    def max_values(self) -> int:
        return self.max_rows * len(self.fields)


def read(form: Form, document: bytes) -> list[Any]:
    """The valid pieces of a document, in order, at once: it should be small.

    Raises InvalidInput, which lists SHOWN_ERRORS at most and says how many there are, or PayloadTooLarge.
    """
    if len(document) <= SMALL_BYTES:
        try:
            value = form.adapter.validate_json(document)
        except ValidationError:
            value = None
        if value is not None and (form.shape == "row" or not any(_wrong_lengths(form, value))):
            return [value]
    return taken(reading(form, document))


def reading(form: Form, document: bytes) -> Steps[list[Any]]:
    """`read`, in steps."""
    if len(document) > SMALL_BYTES:
        yield from _check_size(form, document)
    value = parsed(document)
    yield
    return (yield from validating(form, value))


def validating(form: Form, value: Any) -> Steps[list[Any]]:
    """The valid pieces of what was in a document, in order. Raises InvalidInput."""
    pieces, wrong = yield from _validated(form, value)
    if wrong.first:
        raise invalid_payload(wrong.first, wrong.more)
    return pieces


def parsed(document: bytes, partial: bool = False) -> Any:
    """Raises InvalidInput."""
    try:
        return from_json(document, allow_partial=partial)
    except ValueError as error:
        raise invalid_payload([FieldError("", f"invalid JSON: {error}")]) from None


def _check_size(form: Form, document: bytes) -> Steps[None]:
    """Raises InvalidInput or PayloadTooLarge where parsing it whole might take long."""
    size, most_bytes = (yield from size_of(document)), form.max_values * form.bytes_a_value
    within = Size(*(form.max_rows * marks for marks in form.within))
    keys, nested = MAX_KEYS + len(form.fields) + within.keys, MAX_NESTED + len(form.fields) + within.nested
    if form.shape == "rows":
        keys, nested = keys + form.max_values, nested + form.max_rows
    # A value too many, or a key, is told better by the form itself.
    too_many = size.values > form.max_values + MAX_KEYS + within.values
    if not too_many and size.keys <= keys and size.nested <= nested and len(document) <= most_bytes:
        return
    head = parsed(document[:HEAD_BYTES], partial=True)
    _, wrong = taken(_validated(form, head, partial=True))
    if wrong.first:
        raise invalid_payload(wrong.first, size.values - len(wrong.first))
    if too_many:
        raise InvalidInput(
            f"The document has {size.values:,} values; at most {form.max_values:,} are read."
        )
    if len(document) > most_bytes:
        raise PayloadTooLarge(f"The document is over the limit of {most_bytes:,} bytes.")
    raise InvalidInput("The document has more keys, lists or objects than any that is understood.")


def _validated(form: Form, value: Any, partial: bool = False) -> Steps[tuple[list[Any], Findings]]:
    """Its pieces, and what is wrong with them. `partial`: keys may come behind it."""
    pieces: list[Any] = []
    wrong = Findings()
    if not partial:
        wrong.add(list(_wrong_lengths(form, value)))
    if wrong.first:
        return pieces, wrong
    for first, piece in _pieces(form, value):
        yield
        valid, found = _valid(form, piece, first)
        pieces.append(valid)
        wrong.add([e for e in found if e.field not in form.fields] if partial else found)
    return pieces, wrong


def _valid(form: Form, piece: Any, first: int) -> tuple[Any, list[FieldError]]:
    try:
        return form.adapter.validate_python(piece), []
    except ValidationError:
        pass
    try:
        # In the words of JSON, where a list is an array and a missing value no None.
        return form.adapter.validate_json(to_json(piece, inf_nan_mode="constants")), []
    except ValidationError as error:
        # The first piece tells of what lies beside the lists.
        return None, found_in(error, first, least_depth=2 if first and form.shape == "columns" else 0)


def _wrong_lengths(form: Form, value: Any) -> Iterator[FieldError]:
    lists = {}
    if form.shape == "columns" and isinstance(value, dict):
        lists = {key: value[key] for key in form.fields if isinstance(value.get(key), list)}
    elif form.shape == "rows" and isinstance(value, list):
        lists = {"": value}
    lengths = {key: len(items) for key, items in lists.items()}
    for key, length in lengths.items():
        if not length:
            yield FieldError(key, "list should have at least 1 item after validation, not 0")
        elif length > form.max_rows:
            yield FieldError(
                key, f"list should have at most {form.max_rows} items after validation, not {length}"
            )
        elif length != max(lengths.values()):
            yield FieldError(key, f"has {length} values, where others have {max(lengths.values())}")


def _pieces(form: Form, value: Any) -> Iterator[tuple[int, Any]]:
    """A document cut to pieces of so many rows, each with the number of its first row."""
    rows = max(1, PIECE // len(form.fields))
    if form.shape == "rows" and isinstance(value, list):
        for first in range(0, len(value), rows):
            yield first, value[first : first + rows]
        return
    if form.shape != "columns" or not isinstance(value, dict):
        yield 0, value
        return
    lists = {key: value[key] for key in form.fields if isinstance(value.get(key), list)}
    yield 0, value | {key: items[:rows] for key, items in lists.items()}
    for first in range(rows, max(map(len, lists.values()), default=0), rows):
        yield first, {key: items[first : first + rows] for key, items in lists.items()}


def size_of(document: bytes) -> Steps[Size]:
    """Count what may stand for values, keys and nesting, whatever the document is about."""
    values, keys, nested = 1, 0, 0
    for at in range(0, len(document), _COUNTED_BYTES):
        yield
        piece = document[at : at + _COUNTED_BYTES]
        values += piece.count(b",")
        keys += piece.count(b":")
        nested += piece.count(b"[") + piece.count(b"{")
    return Size(values, keys, nested)
