"""Rows of named columns → a class, a probability or numbers."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from ctypes import c_float
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from service.artifacts.interface import Column, Output, TableInput
from service.artifacts.manifest import Manifest
from service.endpoints.answer import response
from service.endpoints.columns import MAX_ROWS, Columns, Values
from service.endpoints.documents import SMALL_BYTES
from service.endpoints.endpoint import Decoded, Endpoint, Known, Operation
from service.endpoints.schemas import probabilities_schema
from service.engine.tensors import decode_tensor
from service.errors import UnsupportedMediaType
from service.serving.body import RawRequest, media_type_of
from service.serving.call import Admitted, Call
from service.serving.job import Answer
from service.serving.steps import Steps

JSON, CSV = "application/json", "text/csv"

# More is not even received.
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024

# Some hundred rows are computed and answered in a fraction of a millisecond, which others can wait.
BATCH_ROWS = 400

Say = Callable[[dict[str, Any], list[float]], None]


class TableEndpoint(Endpoint):
    """A model of named columns. One column is answered beside what is predicted from it."""

    batch_rows = BATCH_ROWS
    full_rows = MAX_ROWS
    max_body_bytes = MAX_DOCUMENT_BYTES

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        assert isinstance(manifest.input, TableInput)
        columns = manifest.input.columns
        self.columns = Columns(columns)
        self._echoed = columns[0] if len(columns) == 1 else None
        self._ranges = [
            (at, _as_read(column.training_minimum), _as_read(column.training_maximum))
            for at, column in enumerate(columns)
            if column.training_minimum is not None and column.training_maximum is not None
        ]
        self._say = _saying(manifest.output)

    def read(self, requests: Sequence[RawRequest]) -> Sequence[RawRequest]:
        return requests

    def decode(self, call: Admitted, read: RawRequest) -> Decoded | None:
        content_type, document = read
        if content_type != JSON and media_type_of(content_type) != JSON:
            return None
        if len(document) > SMALL_BYTES:
            return None
        call.admit(self.columns.most_rows(document))
        return self.decoded(document)

    async def answer(self, call: Call) -> Response:
        if call.body.media_type not in (JSON, CSV):
            raise UnsupportedMediaType(f"Send {JSON} or {CSV}.")
        document = await call.body.content()
        if call.body.media_type == CSV:
            lines = max(document.count(b"\n"), document.count(b"\r"))
            call.admit(max(1, min(lines, MAX_ROWS)))
            decoded = await call.take(self._decoding_table(document))
        else:
            call.admit(self.columns.most_rows(document))
            small = len(document) <= SMALL_BYTES
            decoded = self.decoded(document) if small else await call.take(self._decoding(document))
        return await response(call, decoded, await call.predict(decoded.rows))

    def operation(self) -> Operation:
        schema = self.columns.schema()
        examples = self._examples()
        return Operation(
            summary=f"{self.manifest.name}: {_said(self.manifest.output)}",
            description="One row is answered by one prediction; columns of values, a list of rows or a CSV"
            " table by a list in their order.",
            requests={
                JSON: {"schema": schema, "examples": examples},
                CSV: {"schema": {"type": "string"}, "example": self._csv_example(examples["one"]["value"])},
            },
            result=self._result_schema(),
            known=self._known(examples),
        )

    def decoded(self, document: bytes) -> Decoded:
        """What a JSON document asks. Raises InvalidInput or PayloadTooLarge."""
        started = time.perf_counter()
        values, many = self.columns.values_in(document)
        return self._of_values(values, many, started)

    def _decoding(self, document: bytes) -> Steps[Decoded]:
        started = time.perf_counter()
        values, many = yield from self.columns.reading(document)
        return self._of_values(values, many, started)

    def _decoding_table(self, table: bytes) -> Steps[Decoded]:
        started = time.perf_counter()
        values = yield from self.columns.reading_table(table)
        return self._of_values(values, True, started)

    def _of_values(self, values: Values, many: bool, started: float) -> Decoded:
        rows = values.astype(np.float32)
        return Decoded(rows, many, partial(self._results, values, rows), time.perf_counter() - started)

    def _results(
        self, values: Values, rows: NDArray[np.float32], answer: Answer, part: slice
    ) -> list[dict[str, Any]]:
        """A few rows at a time: lists of all of them would be work for the garbage collector."""
        outputs = answer.outputs
        if len(outputs) > 1:
            values, rows, outputs = values[part], rows[part], outputs[part]
        echoed, say = self._echoed, self._say
        results: list[dict[str, Any]] = []
        sent = values[:, 0].tolist()
        for value, row, output in zip(sent, rows.tolist(), outputs.tolist(), strict=True):
            result = {echoed.name: _value_of(echoed, value)} if echoed else {}
            say(result, output)
            result["extrapolating"] = self._extrapolates(row)
            results.append(result)
        return results

    def _extrapolates(self, row: list[float]) -> bool:
        for at, low, high in self._ranges:  # noqa: SIM110 - any() of a generator takes twice the time
            if row[at] < low or row[at] > high:
                return True
        return False

    def _examples(self) -> dict[str, Any]:
        """Requests that are made of the check's rows, whose answers are known."""
        rows = [self._named(row) for row in decode_tensor(self.manifest.check.inputs)[:2].tolist()]
        names = [column.name for column in self.columns.columns if any(column.name in row for row in rows)]
        return {
            "one": {"summary": "One row", "value": rows[0]},
            "columns": {"summary": "Columns", "value": {n: [row.get(n) for row in rows] for n in names}},
            "rows": {"summary": "Rows", "value": rows},
        }

    def _known(self, examples: dict[str, Any]) -> list[Known]:
        """The answers to them."""
        values = decode_tensor(self.manifest.check.inputs)[:2].double().numpy()
        one, several = self._of_values(values[:1], False, 0), self._of_values(values, True, 0)
        return [
            self.known(name, example["summary"], one if name == "one" else several)
            for name, example in examples.items()
        ]

    def _named(self, row: list[float]) -> dict[str, Any]:
        columns = zip(self.columns.columns, row, strict=True)
        return {column.name: _value_of(column, value) for column, value in columns if value == value}

    def _csv_example(self, row: dict[str, Any]) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([row, row.values()])
        return text.getvalue()

    def _result_schema(self) -> dict[str, Any]:
        output = self.manifest.output
        properties: dict[str, Any] = {}
        if self._echoed:
            kind = "string" if self._echoed.categories else "number"
            properties[self._echoed.name] = {"type": [kind, "null"] if self._echoed.optional else kind}
        probability = {"type": "number", "minimum": 0, "maximum": 1}
        if output.kind == "binary":
            (label,) = output.labels
            properties["probability"] = {**probability, "description": f"Of {label}."}
            properties[label] = {
                "type": "boolean",
                "description": f"Whether the probability is at least {output.threshold:g}.",
            }
        elif output.kind == "numbers":
            properties |= {
                label: {"type": "number", "description": output.units} for label in output.labels
            }
        else:
            properties["label"] = {"type": "string", "enum": list(output.labels)}
            properties["confidence"] = {**probability, "description": "The probability of `label`."}
            properties["probabilities"] = probabilities_schema(output.labels)
            if output.score:
                properties["out_of_distribution"] = {"type": "boolean"}
        properties["extrapolating"] = {
            "type": "boolean",
            "description": "Whether a value lies outside those that the model was fitted to.",
        }
        return {"type": "object", "properties": properties, "required": list(properties)}


def _as_read(bound: float) -> float:
    """As the archive reads it, in float32: that of 0.2 is more than 0.2, and begins many a range."""
    return c_float(bound).value


def _value_of(column: Column, value: float) -> Any:
    """As it was sent; None where it is missing."""
    if value != value:
        return None
    return column.categories[int(value)] if column.categories else value


def _saying(output: Output) -> Say:
    """Adds what one row of outputs says to a result: one dictionary a row is made, not three."""
    labels = output.labels
    if output.kind == "binary":
        (label,), threshold = labels, output.threshold
        assert threshold is not None

        def binary(result: dict[str, Any], row: list[float]) -> None:
            result["probability"] = probability = row[0]
            result[label] = probability >= threshold

        return binary
    if output.kind == "numbers":
        return lambda result, row: result.update(zip(labels, row, strict=True))
    score = output.score

    def classes(result: dict[str, Any], row: list[float]) -> None:
        odd = row.pop() > score.threshold if score else None
        confidence = max(row)
        result["label"] = labels[row.index(confidence)]
        result["confidence"] = confidence
        result["probabilities"] = dict(zip(labels, row, strict=True))
        if score:
            result["out_of_distribution"] = odd

    return classes


def _said(output: Output) -> str:
    if output.kind == "binary":
        return f"the probability of {output.labels[0]}"
    names = ", ".join(output.labels[:5]) + (", …" if len(output.labels) > 5 else "")
    return f"which of {names}" if output.kind == "classes" else names
