"""What is sent for an answer: JSON; or, where a client asks for it, lines of JSON or CSV (`Accept`)."""

import asyncio
import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.artifacts.cells import as_text
from service.endpoints.endpoint import Decoded
from service.serving.admission import Admission
from service.serving.call import Admitted, Call, ServedBy
from service.serving.job import Answer
from service.serving.steps import OnMore, Steps, taken

Format = Literal["json", "ndjson", "csv"]
MEDIA_TYPES: dict[Format, bytes] = {
    "json": b"application/json",
    "ndjson": b"application/x-ndjson",
    "csv": b"text/csv; charset=utf-8; header=present",
}
_ASKED_AS: dict[str, Format] = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
}
_MOST_RANGES = 32  # of what a client lists in `Accept`
# What most clients send, for which no list need be read.
_USUAL = frozenset({b"*/*", b"application/json", b"application/json, text/plain, */*"})

PIECE_BYTES = 64 * 1024  # of a large one

# Answers of up to so many values are written at once; of others so many in a step. Of a row so many are
# reckoned beside its outputs.
INLINE_VALUES, STEP_VALUES, ROW_VALUES = 2304, 1152, 8

_ALL = slice(None)


class WrittenAnswer(Response):
    """200 with a body; made without the general constructor, which costs as much as decoding.

    A large one is sent piece by piece, as its client takes it, and counts among the `pending` bytes.
    """

    def __init__(
        self,
        body: bytes,
        server_timing: bytes,
        pending: Admission,
        content_type: bytes = MEDIA_TYPES["json"],
        more_fields: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._pending = pending
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (b"server-timing", server_timing),
            *more_fields,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Overloaded."""
        size = len(self.body)
        if size <= PIECE_BYTES:
            await super().__call__(scope, receive, send)
            return
        self._pending.admit(size, size)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            for first in range(0, size, PIECE_BYTES):
                piece = bytes(self.body[first : first + PIECE_BYTES])
                more = first + PIECE_BYTES < size
                await send({"type": "http.response.body", "body": piece, "more_body": more})
                await asyncio.sleep(0)  # others may be written to
        finally:
            self._pending.release(size)


def accepted(accept: bytes | None) -> Format:
    """The format that is asked for before all others; JSON unless another is (RFC 9110, section 12.5.1)."""
    if accept is None or accept in _USUAL:
        return "json"
    weights, anything = dict[Format, float](), 0.0
    for media_type, _, weight in media_ranges(accept.decode("latin-1")):
        if asked := _ASKED_AS.get(media_type):
            weights[asked] = max(weight, weights.get(asked, 0.0))
        elif media_type in ("*/*", "application/*"):
            anything = max(weight, anything)
    weights.setdefault("json", anything)  # behind what is named with the same weight
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] > 0 else "json"


def media_ranges(accept: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Media types, their parameters and their weights (RFC 9110, section 12.5.1)."""
    for item in accept.lower().split(",")[:_MOST_RANGES]:
        media_type, *parts = (part.strip() for part in item.split(";"))
        named = (part.partition("=") for part in parts)
        parameters = {name: value.strip('"') for name, _, value in named}
        try:
            yield media_type, parameters, float(parameters.pop("q", 1))
        except ValueError:
            yield media_type, parameters, 0.0


async def response(call: Call, decoded: Decoded, answer: Answer) -> Response:
    """As the client asks for it. Raises ServiceError."""
    written_as = accepted(call.body.headers.get(b"accept"))
    pending, content_type = call.backend.pending_bytes, MEDIA_TYPES[written_as]
    if _is_short(decoded, answer):
        return WrittenAnswer(*respond(call, decoded, answer, written_as), pending, content_type)
    body = await call.take(_writing(decoded, answer, written_as, call.admit_answer))
    return WrittenAnswer(body, recorded(call, decoded.decode_s, answer), pending, content_type)


def respond(
    call: Admitted, decoded: Decoded, answer: Answer, written_as: Format = "json"
) -> tuple[bytes, bytes]:
    """The body of the answer, and its `Server-Timing`; both are recorded."""
    return written(decoded, answer, written_as), recorded(call, decoded.decode_s, answer)


def written(decoded: Decoded, answer: Answer, written_as: Format) -> bytes:
    """One result as it is, or several as `predictions`, with the model and its version."""
    if written_as != "json" or not _is_short(decoded, answer):
        return taken(_writing(decoded, answer, written_as, lambda _: None))
    served_by = _served_by(answer)
    results = decoded.results(answer, _ALL)
    return to_json({"predictions": results, **served_by} if decoded.many else {**results[0], **served_by})


def _writing(decoded: Decoded, answer: Answer, written_as: Format, on_more: OnMore) -> Steps[bytes]:
    """`written`, in steps. `on_more` is told of every so many bytes more, and may refuse them."""
    pieces, served_by = list[bytes](), _served_by(answer)
    step_rows = max(1, STEP_VALUES // _row_values(answer))
    for at in range(0, len(decoded.rows), step_rows):
        results = decoded.results(answer, slice(at, at + step_rows))
        if written_as == "json":
            pieces.append(to_json(results)[1:-1])
        elif written_as == "ndjson":
            pieces.append(b"".join([to_json({**result, **served_by}) + b"\n" for result in results]))
        else:
            pieces.append(_table(results, served_by, with_names=not pieces))
        on_more(len(pieces[-1]))
        yield
    if written_as != "json":
        return b"".join(pieces)
    if not decoded.many:
        return b"%b,%b" % (pieces[0][:-1], to_json(served_by)[1:])
    pieces[0] = b'{"predictions":[' + pieces[0]  # which may be most of the memory: it is joined once
    pieces[-1] += b"]," + to_json(served_by)[1:]
    return b",".join(pieces)


def _is_short(decoded: Decoded, answer: Answer) -> bool:
    return len(decoded.rows) * _row_values(answer) <= INLINE_VALUES


def _row_values(answer: Answer) -> int:
    return ROW_VALUES + math.prod(answer.manifest.output.row_shape)


def _table(results: list[dict[str, Any]], served_by: ServedBy, with_names: bool) -> bytes:
    """A row for each result (RFC 4180), under a row of names; what is nested has dotted ones."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for result in results:
        flat = dict(_flat("", {**result, **served_by}))
        if with_names:
            writer.writerow(map(as_text, flat))
            with_names = False
        writer.writerow([as_text(value) for value in flat.values()])
    return text.getvalue().encode()


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value


def recorded(call: Admitted, decode_s: float, answer: Answer) -> bytes:
    """The `Server-Timing` of an answer, whose stages are noted for the metrics, the log and the trace."""
    stages = {"decode": decode_s, "queue": answer.queue_s, "infer": answer.infer_s}
    call.record(_served_by(answer), stages)
    timings = 1000 * decode_s, 1000 * answer.queue_s, 1000 * answer.infer_s
    return b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f" % timings


def _served_by(answer: Answer) -> ServedBy:
    return {"model": answer.manifest.name, "version": answer.manifest.version}
