"""The JSON of a request for inference, as it is parsed: what it may have, and how much."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.endpoints.documents import size_of
from service.errors import InvalidRequest, PayloadTooLarge
from service.problems import found_in, invalid_payload, shortened
from service.serving.steps import Steps

# Of the JSON: each value is an object until it is read. A picture of 224×224 has 150,528 of them.
MAX_VALUES, MAX_NESTED, MAX_KEYS = 160_000, 32_768, 8_192
MAX_TENSORS, MAX_DIMENSIONS = 1_024, 8

MAX_LENGTH = 2**63 - 1

_SHARED_MEMORY = "shared_memory_"  # so Triton's parameters for it begin

Parameters = dict[str, Any]


def _or_nothing(value: Any) -> Any:
    return {} if value is None else value


OrNothing = Annotated[Parameters, BeforeValidator(_or_nothing)]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")  # clients send more than there is

    parameters: OrNothing = {}


class Wanted(_Said):
    """An output that is asked for."""

    name: str

    @property
    def binary(self) -> bool | None:
        """None: as the request says it of all."""
        return flag(self.parameters, "binary_data")

    @property
    def classification(self) -> int:
        """The number of likeliest classes that are asked for; 0: the tensor itself."""
        return whole(self.parameters, "classification")


class Input(_Said):
    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=0, le=MAX_LENGTH)]] = Field(min_length=1, max_length=MAX_DIMENSIONS)
    data: Any = None


class Document(_Said):
    id: str | None = None
    inputs: list[Input] = Field(min_length=1, max_length=MAX_TENSORS)
    outputs: list[Wanted] | None = Field(None, max_length=MAX_TENSORS)


def parsing(document: bytes) -> Steps[Document]:
    """Raises InvalidRequest or PayloadTooLarge."""
    yield from _check_size(document)
    said = _parsed(document)
    yield
    check_tensors("input", said.inputs)
    check_tensors("output", said.outputs or [])
    return said


def _check_size(document: bytes) -> Steps[None]:
    """Raises PayloadTooLarge where it might take long to parse."""
    size = yield from size_of(document)
    limits = (MAX_VALUES, "values"), (MAX_KEYS, "keys"), (MAX_NESTED, "lists and objects")
    for count, (limit, what) in zip(size, limits, strict=True):
        if count > limit:
            raise PayloadTooLarge(
                f"The JSON has {count:,} {what}, more than {limit:,}: send large tensors as binary data,"
                " or their data as one list."
            )


def _parsed(document: bytes) -> Document:
    """Raises InvalidRequest."""
    try:
        return Document.model_validate_json(document)
    except ValidationError as error:
        invalid = invalid_payload(found_in(error))
        raise InvalidRequest(invalid.detail, invalid.errors, invalid.more) from None


def check_tensors(what: str, tensors: Sequence[Any]) -> None:
    """Raises InvalidRequest where one is there twice, or not in the message.

    `what`: "input" or "output". `tensors`: each with a name and parameters, as JSON or gRPC has them.
    """
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InvalidRequest(f"The {what} {shortened(twice)!r} is there more than once.")
    for tensor in tensors:
        if any(parameter.startswith(_SHARED_MEMORY) for parameter in tensor.parameters):
            raise InvalidRequest(
                f"The {what} {shortened(tensor.name)!r} is to be in shared memory, which is neither read"
                " nor written: its data goes in the message."
            )


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
