"""What is asked, apart from how it is sent: one input or several, in which requests, and what came back."""

import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from httpx import Response
from pydantic import BaseModel, ValidationError

from abacus_client.catalogue import Manifest
from abacus_client.errors import (
    AbacusError,
    InputError,
    InvalidInput,
    PayloadTooLarge,
    UnexpectedAnswer,
    UnsupportedMediaType,
)
from abacus_client.pictures import file_of, is_picture
from abacus_client.results import DigitsPrediction, Prediction, result_of
from abacus_client.rows import is_row, row_of, rows_in

# Of one request; the service takes 64 pictures and 16 MiB, or what it is told to, and 10,000 rows.
PICTURES, ROWS, PICTURES_BYTES = 16, 1_000, 8 * 1024 * 1024

# Of rows it takes so much in all, and so much for each column, whatever it is told.
ROWS_BYTES, COLUMN_BYTES = 2 * 1024 * 1024, 400_000

# Refused for what one of several inputs is, or for all of them together: then they are sent apart.
SPLIT = (InvalidInput, PayloadTooLarge, UnsupportedMediaType)

_TIMING = re.compile(r"(\w+);dur=(\d+(?:\.\d+)?)")

Outcome = Prediction | AbacusError
M = TypeVar("M", bound=BaseModel)

Shape = Literal["one", "list", "stream"]


# Inputs of one request, each as it is sent.
Batch = list[bytes]


class Given(NamedTuple):
    """Inputs, and whether they are answered by one prediction, by a list, or as they are iterated."""

    inputs: Any
    shape: Shape


class Question(NamedTuple):
    """To which model and version, with which query; `batch`: the most inputs of a request.

    `each`: of a picture every digit is asked for.
    """

    manifest: Manifest
    version: int | None
    query: Mapping[str, str]
    batch: int
    each: bool = False

    @property
    def path(self) -> str:
        live = f"predict/{quoted(self.manifest.name)}"
        return live if self.version is None else f"{live}/versions/{self.version}"

    @property
    def most_bytes(self) -> int:
        """Of a request of several inputs."""
        if not self.manifest.takes_rows:
            return PICTURES_BYTES
        return min(ROWS_BYTES, COLUMN_BYTES * max(1, len(self.manifest.columns)))

    def given(self, inputs: Any, columns: Mapping[str, Any]) -> Given:
        """Raises InputError."""
        rows = self.manifest.takes_rows
        if columns:
            if not rows or inputs is not None:
                raise InputError("Columns are for a table, and stand alone: options have their own names.")
            inputs = columns
        if is_row(inputs) if rows else is_picture(inputs):
            return Given([inputs], "one")
        several = inputs if isinstance(inputs, AsyncIterable) else rows_in(inputs) if rows else inputs
        if isinstance(several, AsyncIterable):
            return Given(several, "stream")
        if not isinstance(several, Iterable):
            raise InputError(f"{self.manifest.name} cannot be asked about this: {type(inputs).__name__}.")
        of_known_length = isinstance(several, Sequence) or hasattr(several, "__array__")
        return Given(several, "list" if of_known_length else "stream")

    def batches(self, inputs: Sequence[Any]) -> Iterator[Batch | InputError]:
        """Of inputs, in their order; one that cannot be sent is an error in its place."""
        held: Batch = []
        size = around = len(b"[]")
        for value in inputs:
            try:
                encoded = self._encoded(value)
            except InputError as error:
                if held:
                    yield held
                yield error
                held, size = [], around
                continue
            needed = len(encoded) + len(b",")
            if held and size + needed > self.most_bytes:
                yield held
                held, size = [], around
            held.append(encoded)
            size += needed
        if held:
            yield held

    def request(self, batch: Batch) -> dict[str, Any]:
        """As httpx takes it."""
        if not self.manifest.takes_rows and len(batch) > 1:
            files = [("file", (str(place), file)) for place, file in enumerate(batch)]
            return {"params": self.query, "files": files}
        kind = "application/json" if self.manifest.takes_rows else "application/octet-stream"
        content = batch[0] if len(batch) == 1 else b"[" + b",".join(batch) + b"]"
        return {"params": self.query, "headers": {"Content-Type": kind}, "content": content}

    def results(self, response: Response, count: int) -> list[Prediction]:
        """Raises UnexpectedAnswer."""
        try:
            answer = response.json()
            rows = answer["predictions"] if count > 1 or self.each else [answer]
            served_by = {"model": answer["model"], "version": answer["version"]}
            rows = [{**row, **served_by} for row in rows]
            if self.each:
                predictions: list[Prediction] = [
                    DigitsPrediction.model_validate({"predictions": rows, **served_by})
                ]
            else:
                predictions = [self._result(row) for row in rows]
        except (ValueError, KeyError, TypeError) as error:  # pydantic's is a ValueError
            raise _unexpected(response) from error
        if len(predictions) != count:
            raise UnexpectedAnswer(f"{count} were asked about, {len(predictions)} are answered.")
        request_id = response.headers.get("X-Request-ID", "")
        timings = timings_in(response.headers.get("Server-Timing", ""))
        for prediction in predictions:
            prediction._request_id, prediction._timings = request_id, timings
        return predictions

    def _result(self, answer: dict[str, Any]) -> Prediction:
        """Raises ValidationError."""
        try:
            return result_of(self.manifest).model_validate(answer)
        except ValidationError:
            if answer["version"] == self.manifest.version:
                raise
            return Prediction.model_validate(answer)  # of another version, which may be of another kind

    def _encoded(self, value: Any) -> bytes:
        if not self.manifest.takes_rows:
            return file_of(value)
        row = row_of(value, self.manifest.columns)
        try:
            return json.dumps(row, allow_nan=False).encode()
        except ValueError as error:  # an integer of more digits than Python writes
            raise InputError(f"This row cannot be sent: {error}.") from error


def quoted(name: str) -> str:
    """As it stands in a path. Raises InputError."""
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise InputError(f"{name!r:.80} is no name of a model.") from error


def chunks(inputs: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(inputs)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def chunks_of_any(inputs: Any, size: int) -> AsyncIterator[list[Any]]:
    """Of an iterable of either sort."""
    if not isinstance(inputs, AsyncIterable):
        for chunk in chunks(inputs, size):
            yield chunk
        return
    chunk = []
    async for value in inputs:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def read(kind: type[M], response: Response) -> M:
    """The answer as what it should be. Raises UnexpectedAnswer."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise _unexpected(response) from error


def _unexpected(response: Response) -> UnexpectedAnswer:
    what = response.headers.get("Content-Type", "nothing")
    return UnexpectedAnswer(f"{response.url} answered {what} that is no Abacus's.")


def timings_in(header: str) -> dict[str, float]:
    """Of `Server-Timing`, in milliseconds."""
    return {name: float(duration) for name, duration in _TIMING.findall(header)}
