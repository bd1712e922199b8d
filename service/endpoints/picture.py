"""Pictures → the class of what is on them."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from service.artifacts.interface import PictureInput
from service.artifacts.manifest import Manifest
from service.endpoints.answer import response
from service.endpoints.endpoint import Decoded, Endpoint, Known, Operation, Results
from service.engine.predictor import MAX_BATCH_ROWS
from service.engine.tensors import decode_tensor
from service.errors import FieldError, InvalidInput
from service.pictures.images import Finding, rows_of
from service.serving.call import Admitted, Call
from service.serving.job import Answer, Rows
from service.uploads.multipart import MAX_FILES, MOST_PARAMETERS
from service.uploads.requests import Pixels, Uploads, fits_example, opened, requests_schema, uploaded

TOP, MOST_TOP = 5, 100


class PictureEndpoint(Endpoint):
    """Any classifier of pictures, which are resized as its manifest says."""

    batch_rows = full_rows = MAX_BATCH_ROWS
    max_body_bytes = 2**53  # as far as the service's own limit goes

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        assert isinstance(manifest.input, PictureInput)
        self.input = manifest.input

    async def answer(self, call: Call) -> Response:
        top = self._top(call.scope["query_string"])
        posted = await uploaded(call, self.input.row_shape)
        call.admit(posted.number)
        started = time.perf_counter()
        pictures = await opened(call, posted, self.input.row_shape)
        rows = pictures.rows if isinstance(pictures, Pixels) else await self.rows_of(call, pictures)
        decode_s = time.perf_counter() - started
        decoded = Decoded(rows, pictures.many, partial(self._results, top), decode_s)
        return await response(call, decoded, await call.predict(rows))

    def rows_at_once(self, call: Admitted, uploads: Uploads) -> Rows | None:
        """`rows_of`, where that takes no more than a moment."""
        del call, uploads
        return None

    async def rows_of(self, call: Admitted, uploads: Uploads) -> Rows:
        """What the model reads of files. Raises ServiceError."""
        findings = await call.find(uploads.named(), self.input)
        return rows_of([finding.pixels for finding in findings], self.input.row_shape)

    def operation(self) -> Operation:
        labels = list(self.manifest.output.labels)
        probability = {"type": "number", "minimum": 0, "maximum": 1}
        one = {
            "type": "object",
            "properties": {"label": {"type": "string"}, "probability": probability},
            "required": ["label", "probability"],
        }
        properties = {
            "label": {"type": "string", "enum": labels},
            "confidence": {**probability, "description": "The probability of `label`."},
            "top": {"type": "array", "items": one, "description": "The likeliest, the likeliest first."},
            "out_of_distribution": {
                "anyOf": [{"type": "boolean"}, {"type": "null"}],
                "description": "Whether the picture looks like nothing that the model was trained on; null"
                " when it cannot tell.",
            },
        }
        top = {
            "name": "top",
            "in": "query",
            "description": "How many of the likeliest labels to answer.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MOST_TOP, "default": TOP},
        }
        return Operation(
            summary=f"{self.manifest.name}: what is on a picture",
            description=self._description(),
            requests=requests_schema(self.input.row_shape, self.known_row()),
            result={"type": "object", "properties": properties, "required": list(properties)},
            known=self.known_answers(partial(self._results, TOP)),
            query=(top,),
        )

    def known_row(self) -> NDArray[np.uint8]:
        """The first of the check: what the model is known to answer."""
        row: NDArray[np.uint8] = decode_tensor(self.manifest.check.inputs)[0].numpy()
        return row

    def known_answers(self, results: Results) -> list[Known]:
        """To the picture of that row."""
        row = self.known_row()
        thinned = "" if fits_example(row) else ", in its full size"
        decoded = Decoded(row[None], False, results, decode_s=0)
        return [self.known("one", f"To the picture of the request{thinned}", decoded)]

    def _description(self) -> str:
        return (
            "PNG, JPEG, WebP, AVIF, BMP, GIF or TIFF. One picture as the body itself or as the form field"
            f" `file` is answered by one prediction; several `file` fields, up to {MAX_FILES}, by a list in"
            " their order (`file[]`, `file[0]`, `file[1]` are as good). In JSON a picture is Base64, a data"
            " URL, or nested lists of the pixels that the model takes, which are taken as they are."
        )

    def results(self, answer: Answer, findings: Sequence[Finding]) -> list[dict[str, Any]]:
        """What is answered to pictures, found so, where nothing else is asked for."""
        del findings
        return self._results(TOP, answer, slice(None))

    def _results(self, top: int, answer: Answer, part: slice) -> list[dict[str, Any]]:
        return [self._result(top, row) for row in answer.outputs[part].tolist()]

    def _result(self, top: int, row: list[float]) -> dict[str, Any]:
        output = self.manifest.output
        odd = row.pop() > output.score.threshold if output.score else None
        likeliest = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:top]
        return {
            "label": output.labels[likeliest[0]],
            "confidence": row[likeliest[0]],
            "top": [{"label": output.labels[at], "probability": row[at]} for at in likeliest],
            "out_of_distribution": odd,
        }

    def _top(self, query: bytes) -> int:
        text = parameter(query, "top")
        if text is None:
            return TOP
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MOST_TOP):
            raise InvalidInput(
                f"The query parameter top must be a number from 1 to {MOST_TOP}.",
                (FieldError("top", f"is no number from 1 to {MOST_TOP}"),),
            )
        return int(text)


def parameter(query: bytes, name: str) -> str | None:
    """A parameter of the query string; None when it is not there. Raises InvalidInput."""
    if not query:
        return None
    try:
        named = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise InvalidInput(f"The query has more than {MOST_PARAMETERS} parameters.") from error
    return named.get(name, [None])[-1]
