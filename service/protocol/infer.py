"""`POST /v2/models/{name}/infer`: tensors in, tensors out, by the same batches as every other request."""

import time
from typing import NamedTuple

from starlette._utils import get_route_path
from starlette.responses import Response
from starlette.types import Receive, Scope

from service.endpoints.answer import WrittenAnswer, recorded
from service.endpoints.columns import MAX_ROWS
from service.endpoints.dispatch import Target, asked, routed_target, target_in
from service.endpoints.endpoint import Endpoint
from service.endpoints.picture import PictureEndpoint
from service.endpoints.table import TableEndpoint
from service.errors import InvalidInput, InvalidRequest
from service.problems import shortened
from service.protocol import pictures, tables
from service.protocol.answers import Chosen, Told, Written, chosen, telling, writing
from service.protocol.codings import CODINGS, accepted, deflating, inflating
from service.protocol.requests import HEADER, Given, Inference, reading
from service.serving.call import Admitted, Backend, Call
from service.serving.exposition import PROTOCOL_ROUTE
from service.serving.job import Answer, Rows
from service.serving.served import Served
from service.serving.steps import Steps
from service.uploads.multipart import MAX_FILES
from service.uploads.requests import Uploads

PREFIX = "/v2/models/"
_INFER = "/infer"

JSON, BYTES = b"application/json", b"application/octet-stream"


class Computed(NamedTuple):
    """What is answered, by whom, and its `Server-Timing`."""

    told: list[Told]
    answer: Answer
    server_timing: bytes


class Reply(NamedTuple):
    """The body of an answer, and the fields that speak of it."""

    body: bytes
    media_type: bytes
    fields: list[tuple[bytes, bytes]]


def target_of(path: str) -> Target | None:
    """None where no model is asked for an inference."""
    if not (path.startswith(PREFIX) and path.endswith(_INFER)):
        return None
    return target_in(path[len(PREFIX) : -len(_INFER)])


async def answer(scope: Scope, receive: Receive) -> Response:
    """As ASGI has it. Raises ServiceError, Abandoned or ClientDisconnect."""
    target = routed_target(scope) or target_of(get_route_path(scope))
    assert target
    return await asked(scope, receive, target, PROTOCOL_ROUTE.format(target.name), _answered)


def most_rows(endpoint: Endpoint) -> int:
    """Of one request."""
    return MAX_FILES if isinstance(endpoint, PictureEndpoint) else MAX_ROWS


async def _answered(scope: Scope, receive: Receive, served: Served, backend: Backend) -> Response:
    """Raises ServiceError, Abandoned or ClientDisconnect."""
    try:
        call = Call(scope, receive, served, backend, backend.max_body_bytes, CODINGS)
        return await call.answered(_infer)
    except InvalidInput as error:
        raise in_its_words(error) from error


def in_its_words(error: InvalidInput) -> InvalidRequest:
    """There is one status for all that is wrong with a request, and one text, which names what it is."""
    detail = error.detail
    if error.errors and error.errors[0].message == detail:
        detail = f"{error.errors[0].field}: {detail}"
    return InvalidRequest(detail, error.errors, error.more)


def begin(call: Admitted, inference: Inference) -> list[Chosen]:
    """The outputs that are asked for; its rows are admitted. Raises InvalidRequest or Overloaded."""
    outputs = chosen(inference, call.served.manifest)
    call.admit(_count(inference.inputs, call.served.endpoint))
    return outputs


def reading_rows(inputs: list[Given], endpoint: Endpoint) -> Steps[Rows | Uploads]:
    """Rows for the model, or files that it reads them from. Raises InvalidRequest or InvalidInput."""
    if isinstance(endpoint, PictureEndpoint):
        return (yield from pictures.reading(inputs, endpoint))
    assert isinstance(endpoint, TableEndpoint)
    return (yield from tables.reading(inputs, endpoint))


def replying(written: Written, accept_encoding: bytes | None) -> Steps[Reply]:
    """Compressed, where that is asked for and worth it."""
    body, header = written
    fields = [] if header is None else [(HEADER, b"%d" % header)]
    coding = accepted(accept_encoding, len(body))
    if coding:
        body = yield from deflating(body, coding)
        fields.append((b"content-encoding", coding.encode()))
    return Reply(body, JSON if header is None else BYTES, fields)


async def computed(call: Admitted, inference: Inference, size: int, started: float) -> Computed:
    """The outputs that are asked for. `size`: of the request; `started`: when it began to be read.

    Raises ServiceError.
    """
    endpoint = call.served.endpoint
    outputs = begin(call, inference)
    rows = await call.take(reading_rows(inference.inputs, endpoint), size)
    if isinstance(rows, Uploads):
        assert isinstance(endpoint, PictureEndpoint)
        rows = await endpoint.rows_of(call, rows)
    decode_s = time.perf_counter() - started
    answer = await call.predict(rows)
    told = await call.take(telling(outputs, answer, call.admit_answer), answer.outputs.nbytes)
    return Computed(told, answer, recorded(call, decode_s, answer))


async def _infer(call: Call) -> Response:
    content = await _content(call)
    started, size = time.perf_counter(), len(content)
    headers, manifest = call.body.headers, call.served.manifest
    inference = await call.take(reading(content, headers.get(HEADER), manifest), size)
    if inference.timeout_s:
        call.hurry(inference.timeout_s)
    told, answer, server_timing = await computed(call, inference, size, started)
    steps = writing(inference, told, answer.manifest, call.admit_answer)
    written = await call.take(steps, answer.outputs.nbytes)
    reply = replying(written, headers.get(b"accept-encoding"))
    body, media_type, fields = await call.take(reply, len(written.body))
    return WrittenAnswer(body, server_timing, call.backend.pending_bytes, media_type, fields)


async def _content(call: Call) -> bytes:
    """The body, inflated. Raises ServiceError or ClientDisconnect."""
    content = await call.body.content()
    if not call.body.coding:
        return content
    inflated = 0

    def admit(more: int) -> None:
        nonlocal inflated
        inflated += more
        call.body.admit_inflated(more, inflated)

    return await call.take(inflating(content, call.body.coding, admit))


def _count(inputs: list[Given], endpoint: Endpoint) -> int:
    """How many rows there are. Raises InvalidRequest."""
    first, limit = inputs[0], most_rows(endpoint)
    for other in inputs:
        if other.shape[0] != first.shape[0]:
            names = f"{shortened(first.name)!r} and {shortened(other.name)!r}"
            raise InvalidRequest(f"Inputs {names} have {first.shape[0]:,} and {other.shape[0]:,} rows.")
    if not 1 <= first.shape[0] <= limit:
        raise InvalidRequest(f"The inputs have {first.shape[0]:,} rows; a request has 1 to {limit:,}.")
    return first.shape[0]
