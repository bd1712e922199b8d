"""The hot path: read, decode, predict, answer.

`routes` declares these endpoints to FastAPI, which documents them and could call them; `app` calls them
without it, because the framework's general way costs more than a prediction (docs/decisions/0005).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope

from service.artifacts.interface import PictureInput, TableInput
from service.artifacts.manifest import ArtifactError, Kind, Manifest, printable
from service.endpoints import explain
from service.endpoints.answer import JsonAnswer
from service.endpoints.documents import MAX_DOCUMENT_BYTES, SMALL_BYTES
from service.endpoints.multipart import FILE_FIELD, FORM, MOST_PARAMETERS, FileForm
from service.endpoints.questions import (
    ALL,
    INLINE_PICTURES,
    Pictures,
    Posted,
    Question,
    Whole,
    admit_hours,
    ask_digit,
    ask_pass,
    digits,
    hours_of,
    long_hours_of,
    read_pictures,
    read_whole,
)
from service.errors import FieldError, InvalidInput, UnsupportedMediaType
from service.pictures.images import rows_of
from service.serving.body import Body
from service.serving.call import Admitted, Backend, Call, ServedBy
from service.serving.job import Answer, Rows
from service.serving.steps import Steps, taken

PASS, DIGIT = "pass", "digit"


class Interface(NamedTuple):
    """What a route sends to its model and expects of it, a score aside."""

    kind: Kind
    input: str
    output: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> "Interface":
        rows, answers = manifest.input, manifest.output
        names = [column.name for column in rows.columns] if isinstance(rows, TableInput) else rows.row_shape
        return cls(manifest.kind, f"{rows.dtype} {list(names)}", answers.kind, answers.labels)


INTERFACES = {
    PASS: Interface("table", "float32 ['hours']", "binary", ("passed",)),
    DIGIT: Interface("digit", "uint8 [1, 28, 28]", "classes", tuple("0123456789")),
}


def endpoint_of(manifest: Manifest) -> Any:
    """What reads the requests to a model and writes its answers. Raises ArtifactError: nothing does."""
    if manifest.name not in INTERFACES:
        raise ArtifactError(f"{printable(manifest.name)!r} is no model of this service")
    has, needs = Interface.of(manifest), INTERFACES[manifest.name]
    wrong = [
        f"{field} {printable(repr(a))}, not {b!r}"
        for field, a, b in zip(Interface._fields, has, needs, strict=True)
        if a != b
    ]
    if wrong:
        raise ArtifactError(
            f"{manifest.name}/{manifest.version} has another interface than its route: {'; '.join(wrong)}"
        )
    return None


# Answers of up to so many rows are written at once; of others so many in a step.
INLINE_ROWS, STEP_ROWS = 256, 128


async def answer_pass(scope: Scope, receive: Receive) -> Response:
    """`POST /predict/pass`. Raises ServiceError, Abandoned or ClientDisconnect."""
    call = Call(scope, receive, PASS, backend_of(scope), MAX_DOCUMENT_BYTES)
    return await call.answered(_answer_pass)


async def answer_digit(scope: Scope, receive: Receive) -> Response:
    """`POST /predict/digit`. Raises ServiceError, Abandoned or ClientDisconnect."""
    backend = backend_of(scope)
    return await Call(scope, receive, DIGIT, backend, backend.max_body_bytes).answered(_answer_digit)


def backend_of(scope: Scope) -> Backend:
    backend: Backend = scope["app"].state.backend
    return backend


async def _answer_pass(call: Call) -> Response:
    if call.body.media_type != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    received = bytearray()  # not a list of chunks, which may be small and many
    await call.body.read(received.extend)
    document = bytes(received)
    admit_hours(call, document)
    small = len(document) <= SMALL_BYTES
    question = hours_of(document) if small else await call.take(long_hours_of(document))
    return await _response(call, question, await call.predict(question.rows))


async def _answer_digit(call: Call) -> Response:
    explained = _flag(call.scope["query_string"], "explain")
    posted = await _posted(call.body)
    if explained:
        return await _explain_digit(call, posted)
    call.admit(len(posted.files))
    pictures, rows = await _read(call, posted)
    return await _response(call, pictures.question(rows), await call.predict(rows))


async def _read(call: Call, posted: Posted) -> tuple[Pictures, Rows]:
    """The pictures and their rows. Raises ServiceError."""
    if len(posted.files) > INLINE_PICTURES:
        (pictures,) = await asyncio.to_thread(read_pictures, [posted])
    else:
        (pictures,) = read_pictures([posted])
    rows = pictures.known(call.backend.max_image_pixels)
    if rows is None:
        rows = rows_of([finding.pixels for finding in await call.find(posted.uploads(), _taken_by(call))])
    return pictures, rows


def _taken_by(call: Call) -> PictureInput:
    """The rows that the live model takes. Raises NotReady."""
    rows = call.served.manifest.input
    assert isinstance(rows, PictureInput)
    return rows


async def _explain_digit(call: Call, posted: Posted) -> Response:
    if len(posted.files) > 1:
        raise InvalidInput("Only one picture a request can be explained.")
    call.admit(explain.ROWS)
    started = time.perf_counter()
    (finding,) = await call.find(posted.uploads(), _taken_by(call))
    decode_s = time.perf_counter() - started
    rows = explain.occluded(finding.pixels)
    answer = await call.predict(rows)
    results = digits(answer)
    why = await asyncio.to_thread(explain.explanation, finding, [row["probabilities"] for row in results])
    explained = {**results[0], "explanation": why}
    return await _response(
        call, Question(rows, False, lambda _answer, _part: [explained], decode_s), answer
    )


def _flag(query: bytes, name: str) -> bool:
    """A boolean of the query string, false when it is not there. Raises InvalidInput."""
    if not query:
        return False
    try:
        named = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise InvalidInput(f"The query has more than {MOST_PARAMETERS} parameters.") from error
    value = named.get(name, ["false"])[-1].lower()
    if value not in ("true", "1", "false", "0"):
        raise InvalidInput(
            f"The query parameter {name} must be true or false.", (FieldError(name, "is no boolean"),)
        )
    return value in ("true", "1")


async def _posted(body: Body) -> Posted:
    if body.media_type == FORM:
        form = FileForm(body.content_type)
        await body.read(form.write)
        return Posted(FILE_FIELD, form.finish())
    if body.media_type.startswith("image/"):
        picture = bytearray()
        await body.read(picture.extend)
        return Posted("body", [bytes(picture)])
    raise UnsupportedMediaType(
        "Send the picture as multipart/form-data in the field 'file', or as the body with"
        " Content-Type: image/*."
    )


async def _response(call: Call, question: Question, answer: Answer) -> Response:
    if len(question.rows) <= INLINE_ROWS:
        return JsonAnswer(*respond(call, question, answer), call.backend.pending_bytes)
    served_by = _served_by(answer)
    body = await call.take(_written_long(question, answer, served_by))
    return JsonAnswer(body, _recorded(call, question, answer, served_by), call.backend.pending_bytes)


def respond(call: Admitted, question: Question, answer: Answer) -> tuple[bytes, bytes]:
    """The body of the answer, as JSON, and its `Server-Timing`; both are recorded."""
    served_by = _served_by(answer)
    return _written(question, answer, served_by), _recorded(call, question, answer, served_by)


def _written(question: Question, answer: Answer, served_by: ServedBy) -> bytes:
    """One result as it is, or several as `predictions`, with the model and its version."""
    if not question.many:
        return to_json({**question.results(answer, ALL)[0], **served_by})
    if len(question.rows) <= INLINE_ROWS:
        return to_json({"predictions": question.results(answer, ALL), **served_by})
    return taken(_written_long(question, answer, served_by))


def _written_long(question: Question, answer: Answer, served_by: ServedBy) -> Steps[bytes]:
    pieces = []
    for at in range(0, len(question.rows), STEP_ROWS):
        pieces.append(to_json(question.results(answer, slice(at, at + STEP_ROWS)))[1:-1])
        yield
    return b'{"predictions":[' + b",".join(pieces) + b"]," + to_json(served_by)[1:]


def _recorded(call: Admitted, question: Question, answer: Answer, served_by: ServedBy) -> bytes:
    stages = {"decode": question.decode_s, "queue": answer.queue_s, "infer": answer.infer_s}
    call.record(served_by, stages)
    timings = 1000 * question.decode_s, 1000 * answer.queue_s, 1000 * answer.infer_s
    return b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f" % timings


def _served_by(answer: Answer) -> ServedBy:
    return {"model": answer.manifest.name, "version": answer.manifest.version}


ENDPOINTS = {"/predict/pass": answer_pass, "/predict/digit": answer_digit}

# For requests that are there whole: the model, how they are read, all that have come at once, and what one
# of them asks; None if that is not to be answered at once.
Read = Callable[[Sequence[Whole]], Sequence[Any]]
Ask = Callable[[Admitted, Any], Question | None]
ASKED: dict[str, tuple[str, Read, Ask]] = {
    "/predict/pass": (PASS, list, ask_pass),
    "/predict/digit": (DIGIT, read_whole, ask_digit),
}
