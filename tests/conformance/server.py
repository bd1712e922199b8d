"""A small server that speaks the whole protocol, and has the faults that are planted into it."""

import gzip
import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.conformance.answering import answer
from tests.conformance.described import INPUTS, VERSIONS, describe
from tests.conformance.faults import Accepted, Faults, Refused
from tests.conformance.tensors import Array, dump, take_inputs

HEADER = "inference-header-content-length"
JSON = "application/json"


class Small:
    """Two models: `three` has an input and an output of each sort, `one` has one of each."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.count = 0
        self.most_bytes = 1 << 20  # of a request

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.serve, methods=["GET", "POST"])])

    async def serve(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > self.most_bytes:
            return self._plain({"error": "too large"}, request, 413)
        try:
            return self._answer(request, body)
        except Accepted:
            model = "one" if "/one" in request.url.path else "three"
            return answer({}, _canned(model), model, None, False, Faults())
        except Refused as refusal:
            return self._error(str(refusal), request)

    def _error(self, text: str, request: Request) -> Response:
        member = "detail" if "errors" in self.faults else "error"
        media_type = "application/problem+json" if "errors-content-type" in self.faults else JSON
        return self._plain({member: text}, request, 400, media_type)

    def _plain(
        self, document: Any, request: Request, status: int = 200, media_type: str = JSON
    ) -> Response:
        asked = "gzip" in request.headers.get("accept-encoding", "")
        if asked and "metadata-not-compressed" in self.faults:
            headers = {"Content-Encoding": "gzip"}
            return Response(gzip.compress(dump(document)), status, headers, media_type)
        return Response(dump(document), status, media_type=media_type)

    def _answer(self, request: Request, body: bytes) -> Response:
        parts = request.url.path.strip("/").split("/")
        if request.method == "POST" and parts[-1] == "infer":
            return self._infer(parts, request, body)
        document, status = describe(request.method, parts, body, self.count, self.faults)
        return self._plain(document, request, status)

    def _infer(self, parts: list[str], request: Request, body: bytes) -> Response:
        faults, model = self.faults, parts[2]
        version = parts[4] if len(parts) > 4 else None
        if model not in INPUTS:
            faults.refuse("unknown-model")
        if version is not None:
            if version not in VERSIONS:
                faults.refuse("unknown-version")
            faults.wants("version-in-path")
        body = _inflate(body, request, faults)
        header = request.headers.get(HEADER)
        if header == "0":
            faults.wants("raw-request")
            inputs = {"x": np.frombuffer(body, "<f4").reshape(-1, 3)}
            return answer(
                {"parameters": {"binary_data_output": True}}, inputs, model, version, True, faults
            )
        document, tail = _split(body, header, faults)
        _check_form(document, tail, request, faults)
        faults.wants("valid-request")
        inputs = take_inputs(document, tail, INPUTS[model], faults)
        if "statistics-count" not in faults:
            self.count += 1
        if "batch-of-octets" in faults and tail:
            inputs = {name: values[:1] for name, values in inputs.items()}
        return _coded(answer(document, inputs, model, version, bool(tail), faults), request, faults)


@contextmanager
def serving_rest(small: Small) -> Iterator[str]:
    """Its URL."""
    server = uvicorn.Server(uvicorn.Config(small.app(), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def _canned(model: str) -> dict[str, Array]:
    inputs: dict[str, Array] = {
        "x": np.zeros((1, 3), "<f4"),
        "n": np.zeros((1, 1), "<i4"),
        "t": np.array([[b"a"]], object),
    }
    return {name: inputs[name] for name in INPUTS[model]}


def _inflate(body: bytes, request: Request, faults: Faults) -> bytes:
    coding = request.headers.get("content-encoding")
    if coding is None:
        return body
    if coding not in ("gzip", "deflate"):
        faults.refuse("unknown-coding")
    faults.wants(f"{coding}-{'octets' if HEADER in request.headers else 'request'}")
    try:
        return gzip.decompress(body) if coding == "gzip" else zlib.decompress(body)
    except (OSError, EOFError, zlib.error):
        faults.refuse("damaged-gzip")


def _coded(response: Response, request: Request, faults: Faults) -> Response:
    if "br" in request.headers.get("accept-encoding", "") and "coding-of-answers" in faults:
        response.headers["Content-Encoding"] = "x-brotli"
    return response


def _split(body: bytes, header: str | None, faults: Faults) -> tuple[dict[str, Any], bytes]:
    """The JSON and what stands behind it."""
    end = len(body)
    if header is not None:
        if not header.lstrip("-").isdigit():
            faults.refuse("header-no-number")
        end = int(header)
        if not 0 <= end <= len(body):
            faults.refuse("negative-header" if end < 0 else "header-beyond-body")
    if not body:
        faults.refuse("empty-body")
    try:
        document = json.loads(body[:end])
    except UnicodeDecodeError:
        faults.refuse("no-header" if b"binary_data_size" in body else "no-utf8")
    except ValueError:
        cut = "no-header" if b"binary_data_size" in body else "no-json"
        faults.refuse("header-within-json" if header is not None else cut)
    if not isinstance(document, dict):
        faults.refuse("no-object")
    return document, body[end:]


def _check_form(document: dict[str, Any], tail: bytes, request: Request, faults: Faults) -> None:
    """What is legal, and may be lacking."""
    entries = document.get("inputs")
    if not isinstance(document.get("parameters", {}), dict):
        faults.refuse("parameters-no-object")
    if isinstance(entries, list) and entries and all(isinstance(each, dict) for each in entries):
        if next(iter(entries[0])) != "name" and entries[0].get("name"):
            faults.wants("any-order-of-members")
        if entries[0].get("name") == "t" and len(entries) > 1:
            faults.wants("any-order-of-inputs")
        binary = ["binary_data_size" in (each.get("parameters") or {}) for each in entries]
        if any(binary) and not all(binary):
            faults.wants("mixed-inputs")
    if document.get("id") == "":
        faults.wants("empty-identifier")
    if "model_name" in document:
        faults.wants("unknown-members")
    if "x_text" in document.get("parameters", {}):
        faults.wants("unknown-parameters")
    content_type = request.headers.get("content-type")
    if HEADER not in request.headers:
        if content_type != JSON:
            faults.wants("json-without-content-type" if content_type is None else "json-as-octets")
    elif not tail:
        faults.wants("json-with-length")
    else:
        kind = {None: "", JSON: "-as-json"}.get(content_type, "-as-octets")
        faults.wants(f"default-call{kind}")
