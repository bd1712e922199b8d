"""Pictures of handwritten digits, prepared as MNIST's were → which digit, and why."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from starlette.responses import Response

from service.artifacts.interface import Output
from service.endpoints import each, explain
from service.endpoints.answer import response
from service.endpoints.endpoint import Decoded, Operation, Results
from service.endpoints.picture import PictureEndpoint, parameter
from service.endpoints.schemas import DigitResult, Explanation, PlacedDigit
from service.errors import FieldError, InvalidInput
from service.pictures.digits.mnist import digits_of_mnist
from service.pictures.digits.mnist_form import SIDE
from service.pictures.digits.preparation import Prepared
from service.pictures.digits.reasons import reason_for
from service.pictures.images import Finding, given_digit, rows_of
from service.serving.body import RawRequest
from service.serving.call import Admitted, Call
from service.serving.job import Answer, Rows
from service.uploads.requests import (
    INLINE_PICTURES,
    Document,
    Pixels,
    Uploads,
    opened,
    requests_schema,
    uploaded,
    uploads_in,
)

_ALL, _FIRST = slice(None), slice(1)

_RESULT = DigitResult.model_json_schema()
_PLACED = {
    name: {**schema, "description": f"Only with `?each=true`. {schema['description']}"}
    for name, schema in PlacedDigit.model_json_schema()["properties"].items()
}
_EXPLANATION = {**Explanation.model_json_schema(), "description": "Only with `?explain=true`."}
_EXPLAIN = {
    "name": "explain",
    "in": "query",
    "description": "Add what the model saw, and which ink mattered.",
    "schema": {"type": "boolean", "default": False},
}


class Pictures(NamedTuple):
    """The pictures of one request.

    `digits`: the pixels of each that is one of MNIST's, else b"". `started`: when they began to be decoded,
    with those of the requests that came with it; by `time.perf_counter`.
    """

    uploads: Uploads
    digits: list[bytes]
    started: float

    def known(self, max_pixels: int) -> Rows | None:
        """Rows for the model, where all are MNIST's."""
        return rows_of(self.digits) if all(self.digits) and max_pixels >= SIDE * SIDE else None

    def decoded(self, rows: Rows) -> Decoded:
        results = partial(digits, rows, ())
        return Decoded(rows, self.uploads.many, results, time.perf_counter() - self.started)


class DigitEndpoint(PictureEndpoint):
    """A classifier of digits: MNIST's own pictures take the shortest way, any other is prepared."""

    def read(self, requests: Sequence[RawRequest]) -> Sequence[Pictures]:
        return _decode_known([uploads_in(request) for request in requests])

    def decode(self, call: Admitted, read: Pictures) -> Decoded | None:
        if not read.digits:
            return None
        rows = read.known(call.backend.max_image_pixels)
        if rows is None:
            return None
        call.admit(len(rows))
        return read.decoded(rows)

    async def answer(self, call: Call) -> Response:
        query = call.scope["query_string"]
        explained, of_each = _flag(query, "explain"), _flag(query, "each")
        if explained and of_each:
            raise InvalidInput("Either each digit is answered or one is explained: leave one of both out.")
        posted = await uploaded(call, self.input.row_shape)
        if explained:
            return await self._explain(call, posted)
        if of_each:
            return await self._each(call, posted)
        call.admit(posted.number)
        started = time.perf_counter()
        came = await opened(call, posted, self.input.row_shape)
        rows, results = await self._looked_at(call, came)
        decoded = Decoded(rows, came.many, results, time.perf_counter() - started)
        return await response(call, decoded, await call.predict(decoded.rows))

    def operation(self) -> Operation:
        return Operation(
            summary=f"{self.manifest.name}: the handwritten digit on a picture",
            description=self._description(),
            requests=requests_schema(self.input.row_shape, self.known_row()),
            result={
                **_RESULT,
                "properties": {
                    **_RESULT["properties"],
                    **_PLACED,
                    "explanation": _EXPLANATION,
                },
            },
            known=self.known_answers(partial(digits, self.known_row()[None], ())),
            query=(_EXPLAIN, each.PARAMETER),
        )

    def results(self, answer: Answer, findings: Sequence[Finding]) -> list[dict[str, Any]]:
        return _results_of(findings)(answer, _ALL)

    def rows_at_once(self, call: Admitted, uploads: Uploads) -> Rows | None:
        return _known(call, uploads) if len(uploads.files) <= INLINE_PICTURES else None

    async def rows_of(self, call: Admitted, uploads: Uploads) -> Rows:
        rows, _ = await self._looked_at(call, uploads)
        return rows

    async def _looked_at(self, call: Admitted, came: Uploads | Pixels) -> tuple[Rows, Results]:
        """What the model reads, and what is answered to that. Raises ServiceError."""
        if isinstance(came, Pixels):
            return came.rows, partial(digits, came.rows, ())
        if len(came.files) > INLINE_PICTURES:
            rows = await asyncio.to_thread(_known, call, came)
        else:
            rows = _known(call, came)
        if rows is not None:
            return rows, partial(digits, rows, ())
        findings = await call.find(came.named(), self.input)
        return rows_of([finding.pixels for finding in findings]), _results_of(findings)

    async def _each(self, call: Call, posted: Uploads | Document) -> Response:
        """How many rows a picture takes is known once it is decoded: only then all are admitted."""
        call.admit(1)
        started = time.perf_counter()
        finding, came = await self._one(call, posted, each=True)
        decode_s = time.perf_counter() - started
        rows = rows_of([finding.pixels])
        call.admit_more(len(rows) - 1)
        answer = await call.predict(rows)
        places = each.digits_among(finding, answer.outputs, self.manifest.output)
        if not 1 <= len(places) <= each.MOST:
            raise each.refusal(len(places), came.field)
        answer = answer._replace(outputs=answer.outputs[places])
        results = each.placed(digits(rows[places], (), answer), finding, places)
        decoded = Decoded(rows[places], True, lambda _answer, part: results[part], decode_s)
        return await response(call, decoded, answer)

    async def _one(
        self, call: Call, posted: Uploads | Document, each: bool = False
    ) -> tuple[Finding, Uploads | Pixels]:
        """What the model reads of one picture, or of `each` digit on it; and as what it came.

        Raises ServiceError.
        """
        came = await opened(call, posted, self.input.row_shape)
        if came.number > 1:
            what = "read digit by digit" if each else "explained"
            raise InvalidInput(f"Only one picture a request can be {what}.")
        if isinstance(came, Pixels):
            return given_digit(came.rows.tobytes()), came
        (finding,) = await call.find(came.named(), self.input, each)
        return finding, came

    async def _explain(self, call: Call, posted: Uploads | Document) -> Response:
        call.admit(explain.ROWS)
        started = time.perf_counter()
        finding, came = await self._one(call, posted)
        decode_s = time.perf_counter() - started
        rows = explain.occluded(finding.pixels)
        answer = await call.predict(rows)
        results = digits(rows[:1], [finding.digit], answer, _FIRST)
        probabilities = answer.outputs[:, : len(self.manifest.output.labels)].tolist()
        why = await asyncio.to_thread(explain.explanation, finding, probabilities)
        explained = [{**results[0], "explanation": why}]
        decoded = Decoded(rows[:1], came.many, lambda _answer, _part: explained, decode_s)
        return await response(call, decoded, answer)


def digits(
    rows: Rows, prepared: Sequence[Prepared], answer: Answer, part: slice = _ALL
) -> list[dict[str, Any]]:
    """What is answered to the outputs for pictures. `prepared`: how each was found; none were MNIST's."""
    output = answer.manifest.output
    results = [_digit(row, output) for row in answer.outputs[part].tolist()]
    for at, result in enumerate(results, part.start or 0):
        how = prepared[at] if prepared else None
        if how and how.beside:
            result["out_of_distribution"] = True  # whatever the model makes of it
        if result["out_of_distribution"]:
            result["reason"] = reason_for(rows[at].tobytes(), how)
    return results


def _results_of(findings: Sequence[Finding]) -> Results:
    rows = rows_of([finding.pixels for finding in findings])
    return partial(digits, rows, [finding.digit for finding in findings])


def _digit(row: list[float], output: Output) -> dict[str, Any]:
    score = output.score
    out_of_distribution = row.pop() > score.threshold if score else None
    confidence = max(row)
    return {
        "digit": int(output.labels[row.index(confidence)]),
        "confidence": confidence,
        "probabilities": row,
        "out_of_distribution": out_of_distribution,
        "reason": None,
    }


def _decode_known(requests: Sequence[Uploads]) -> list[Pictures]:
    """The pictures of some requests; MNIST's own are decoded, all of them at once."""
    started = time.perf_counter()
    read = iter(digits_of_mnist([file for uploads in requests for file in uploads.files]))
    return [Pictures(uploads, list(islice(read, len(uploads.files))), started) for uploads in requests]


def _known(call: Admitted, uploads: Uploads) -> Rows | None:
    """Rows for the model, where all are MNIST's."""
    (pictures,) = _decode_known([uploads])
    return pictures.known(call.backend.max_image_pixels)


def _flag(query: bytes, name: str) -> bool:
    """A boolean of the query string, false when it is not there. Raises InvalidInput."""
    given = parameter(query, name)
    value = "false" if given is None else given.lower()
    if value not in ("true", "1", "false", "0"):
        raise InvalidInput(
            f"The query parameter {name} must be true or false.", (FieldError(name, "is no boolean"),)
        )
    return value in ("true", "1")
