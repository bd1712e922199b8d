"""Generated spellings of requests: one answer, whole and in pieces, by each of three ways.

From the connection directly, from ASGI directly, and by the usual way alone.
"""

import asyncio
import base64
import json
import random
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st
from PIL import Image
from starlette.responses import Response

from service.connections.connection import Connection
from service.fast_path.asgi import Direct
from service.fast_path.paths import paths_of
from service.http.keys import add_key
from tests.conftest import Digits, png
from tests.connections.watched import Watched, watched
from tests.endpoints.tiny_models import IRIS, publish_iris
from tests.generated import steady

PAUSE_S = 0.03  # longer than the fast path waits for a body
SILENCE_S = 60.0
LAST = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-ID: last\r\n\r\n"
BATCH = 16  # at once
SHORT = 60  # batches


class Request(NamedTuple):
    wire: bytes
    cuts: tuple[int, ...]

    def pieces(self) -> list[bytes]:
        """It and the last request, cut where it is cut in itself."""
        whole = self.wire + LAST
        places = sorted({0, len(whole), *(min(cut, len(whole) - 1) for cut in self.cuts)})
        return [whole[a:b] for a, b in pairwise(places)]

    def __repr__(self) -> str:
        return f"{self.wire[:2000]!r}, cut at {self.cuts}"


class Reply(NamedTuple):
    """What is the same whichever way a request takes."""

    status: int
    fields: tuple[str, ...]
    allow: str | None
    document: Any


Outcome = tuple[Reply | str, ...]


class Ways(NamedTuple):
    direct: Watched
    direct_by_asgi: Watched
    usual: Watched


@contextmanager
def each_way(published: Path, keys: Path) -> Iterator[Ways]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        # Hypothesis refuses to go on where the module's own state changes while it draws.
        patch.setattr("service.request_id.random", random.Random())
        ways = Ways(
            *(
                stack.enter_context(watched(published, api_keys_file=keys, open_paths="/health,/models"))
                for _ in Ways._fields
            )
        )
        ways.usual.app.state.fast_paths = None
        patch.setattr(
            "service.fast_path.connection.paths_of",
            lambda app: None if app is ways.direct_by_asgi.app else paths_of(app),
        )
        yield ways


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.txt"


@pytest.fixture(scope="module")
def key(key_file: Path) -> str:
    return add_key(key_file, "laboratory")


@pytest.fixture(scope="module")
def with_table(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two models, and a table of several columns."""
    root = tmp_path_factory.mktemp("store") / "artifacts"
    shutil.copytree(published, root)
    publish_iris(root)
    return root


@pytest.fixture(scope="module")
def ways(with_table: Path, key_file: Path, key: str) -> Iterator[Ways]:
    del key  # it is in the file
    with each_way(with_table, key_file) as ways:
        yield ways


def requests(picture: bytes, key: str) -> st.SearchStrategy[Request]:
    """Mostly requests that are answered 200; one thing in them or two may be unusual or wrong."""

    def usual(common: bytes, *others: bytes, rare: int = 12) -> st.SearchStrategy[bytes]:
        return st.sampled_from([*((rare - 1) * len(others) * [common]), *others])

    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="7.png"\r\n\r\n' + picture
    bare = b"--b\r\ncontent-disposition: form-data; name=file\r\nX: y\r\n\r\n" + picture
    listed = part.replace(b'"file"', b'"file[0]"') + b"\r\n" + part.replace(b'"file"', b'"file[]"')
    unchosen = b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n'
    umlaut = part.replace(b"--b", b"--\xfc", 1) + b"\r\n--\xfc--\r\n"
    form = part + b"\r\n--b--\r\n"
    text = base64.b64encode(picture)
    pixels = json.dumps(np.asarray(Image.open(BytesIO(picture))).tolist()).encode()
    kind = b"multipart/form-data; boundary=b"
    flower = {column.name: 1.5 for column in IRIS.columns}
    several = {name: [value, value] for name, value in flower.items()}
    names_and_rows = ",".join(flower) + "\n1,2,3,4\n4,3,2,1\n"
    contents = {
        b"/predict/iris": (
            [
                *(json.dumps(d).encode() for d in (flower, several, [flower, flower], [flower] * 30)),
                *(
                    json.dumps(d).encode()
                    for d in ([], {}, several | {"petal_width": [1]}, [flower, {"a": 1}])
                ),
                json.dumps(flower | {"petal_width": -1}).encode(),
                names_and_rows.encode(),
                b"",
            ],
            [
                b"application/json",
                b"Application/JSON;charset=utf-8",
                b"text/csv",
                b"Text/CSV; header=present",
                b"text/plain",
                b"",
            ],
        ),
        b"/v2/models/digit/infer": (
            list(inferences(pixels, picture)),
            [b"", b"application/octet-stream", b"application/json", b"image/png"],
        ),
        b"/v2/models/iris/infer": (
            list(matrices()),
            [b"", b"application/octet-stream", b"application/json"],
        ),
        b"/predict/pass": (
            [b'{"hours": 4}', b'{"hours": [1, 2.5]}', b'{"hours": -1}', b'{"hours": ', b"", b"\xff"],
            [
                b"application/json",
                b"Application/JSON ; charset=utf-8",
                b"text/plain",
                b"",
                b" application/json",
                b"application/json;",
                b"application/json, text/plain",
            ],
        ),
        b"/predict/digit": (
            [
                form,
                part + b"\r\n" + part + b"\r\n--b--",
                listed + b"\r\n--b--",
                part + unchosen + b"\r\n--b--",
                unchosen[2:] + b"\r\n--b--",
                bare + b"\r\n--b--\r\nepilogue",
                umlaut,
                part,
                picture,
                b"",
                picture[:40],
                b"--b--\r\n",
                b'{"image": "%b"}' % text,
                b'{"images": ["%b", "data:image/png;base64,%b"]}' % (text, text),
                b'{"pixels": %b}' % pixels,
                b'{"images": [%b]}' % pixels,
                b'{"image": "%b' % text,
            ],
            [
                kind,
                b'Multipart/Form-Data;boundary="b"',
                b"multipart/form-data; boundary=\xfc",
                b"multipart/form-data; boundary=\xc3\xbc",
                b'multipart/form-data; boundary="\xfc"',
                b"multipart/mixed; boundary=b",
                b"text/plain; boundary=b",
                b"multipart/form-data",
                b"image/png",
                b"Image/PNG; boundary=b",
                b"image/",
                b"",
                b"application/octet-stream",
                b"application/json",
                b"application/json; charset=utf-8",
                b"multipart/form-data; charset=x; boundary=b",
            ],
        ),
    }
    lengths = {**inferences(pixels, picture), **matrices()}
    targets = {
        b"/v2/models/digit/infer": [
            b"/v2/models/digit/versions/1/infer",
            b"/v2/models/digit/versions/2/infer",
            b"/v2/models/digit/infer?x=1",
            b"/v2/models/Digit/infer",
            b"/v2/models/digit",
        ],
        b"/v2/models/iris/infer": [b"/v2/models/iris/versions/1/infer", b"/v2/models/pass/infer"],
        b"/predict/pass": [
            b"/predict/%70ass",
            b"/predict/pass?x=1",
            b"http://x/predict/pass",
            b"/predict/pass/",
        ],
        b"/predict/digit": [
            b"/predict/digit?",
            b"/predict/digit?explain=no",
            b"/predict/digit?each=1",
            b"//predict/digit",
        ],
        b"/predict/iris": [
            b"/predict/iris/versions/1",
            b"/predict/iris/versions/2",
            b"/predict/iris?top=1",
            b"/predict/Iris",
            b"/predict/iri",
        ],
    }
    names = st.sampled_from([bytes.lower, bytes.title, bytes.upper])
    blanks = usual(b" ", b"", b"\t", b"  \t ")
    ends = usual(b"", b" ", b" \t")

    @st.composite
    def field(draw: st.DrawFn, name: bytes, values: st.SearchStrategy[bytes]) -> bytes:
        return draw(names)(name) + b":" + draw(blanks) + draw(values) + draw(ends) + b"\r\n"

    trailers = st.sampled_from(
        [
            b"",
            b"",
            b"X: y\r\n",
            b"X-API-Key: " + key.encode() + b"\r\n",
            b"Content-Type: text/plain\r\n",
            b"X-Request-Timeout-Ms: 0\r\n",
            b"Content-Encoding: gzip\r\nHost: y\r\n",
        ]
    )
    additions = usual(
        b"",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: A\r\n",
        b"Connection: close\r\n",
        b"Connection: close, Upgrade\r\nUpgrade: x/1\r\n",
        b"Connection: keep-alive\r\n",
        b"Expect: 100-continue\r\n",
        b"Expect: 200-ok\r\n",
        b"Expect:\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: identity\r\n",
        b"Content-Encoding:\r\n",
        b"Content-Encoding: br\r\nContent-Encoding: identity\r\n",
        b"X-Request-Timeout-Ms:  30000 \r\n",
        b"X-Request-Timeout-Ms: soon\r\n",
        b"X-Request-Timeout-Ms: 30000\r\nX-Request-Timeout-Ms: 40000\r\n",
        b"X-Request-ID: mine \r\n",
        b"X-Request-ID:\r\nX-Request-ID: second\r\n",
        b"Host: y\r\n",
        b"Content-Type: application/json\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"X-Empty:\r\n",
        b"X-Fold: a\r\n b\r\n",
        b"X : y\r\n",
        b"X-Long: " + 70_000 * b"x" + b"\r\n",
        b"X-Latin: \xe9\r\n",
        b"Cookie: a=b\r\nCookie: c=d\r\n",
        rare=2,
    )

    @st.composite
    def request(draw: st.DrawFn) -> Request:
        path = draw(st.sampled_from(sorted(contents)))
        bodies, kinds = contents[path]
        body = draw(usual(*bodies, rare=3))
        framing = draw(st.sampled_from([b"length"] * 5 + [b"chunked"] * 3 + [b"none"]))
        fields = [
            draw(field(b"host", usual(b"x", b"", b"x:80", b"[::1]", b"a b", b"x/y"))),
            draw(field(b"content-type", usual(*kinds, rare=2))),
            draw(field(b"x-api-key", usual(key.encode(), b"", b"wrong"))),
            draw(
                field(b"accept", usual(b"*/*", b"text/csv", b"application/x-ndjson", b"text/csv;q=0", b""))
            ),
        ]
        if body in lengths:
            length = draw(usual(b"%d" % lengths[body], b"", b"0", b"9", b"99999", b"-1"))
            fields.append(draw(field(b"inference-header-content-length", st.just(length))))
            fields.append(draw(field(b"accept-encoding", usual(b"identity", b"gzip, deflate", b"*;q=0"))))
        if framing == b"length":
            fields.append(draw(field(b"content-length", st.just(b"%d" % len(body)))))
        elif framing == b"chunked":
            fields.append(draw(field(b"transfer-encoding", usual(b"chunked", b"Chunked"))))
            at = draw(st.integers(0, len(body)))
            chunks = [chunk for chunk in (body[:at], body[at:]) if chunk]
            body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
            body += draw(usual(b"0", b"0;e=1", b"00")) + b"\r\n" + draw(trailers) + b"\r\n"
        fields += [draw(additions)]
        if draw(st.sampled_from(range(20))) == 7:
            fields.pop(draw(st.integers(0, len(fields) - 1)))
        method = draw(usual(b"POST", b"POST", b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"post", b"PUT"))
        version = draw(usual(b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"))
        target = draw(usual(path, path, *targets[path], b"/nowhere", b"*"))
        start = draw(usual(b"", b"\r\n")) + b" ".join([method, target, version]) + b"\r\n"
        wire = start + b"".join(draw(st.permutations(fields))) + b"\r\n" + body
        cuts = draw(st.lists(st.integers(1, len(wire)), min_size=1, max_size=3))
        return Request(wire, tuple(cuts))

    return request()


def inferences(pixels: bytes, picture: bytes) -> dict[bytes, int]:
    """Requests of the Open Inference Protocol for digits; the length of the JSON of each."""
    rows = np.array(json.loads(pixels), np.uint8)
    as_bytes = b"".join([rows.tobytes()] * 12)
    file = len(picture).to_bytes(4, "little") + picture

    def asked(count: int, data: bytes, **said: Any) -> tuple[bytes, bytes]:
        size = {"binary_data_size": len(data)}
        tensor = {"name": "image", "shape": [count, 28, 28], "datatype": "UINT8", "parameters": size}
        return json.dumps({"inputs": [{**tensor, **said.pop("tensor", {})}], **said}).encode(), data

    named = {"name": "probabilities", "parameters": {"binary_data": True}}
    files = {"datatype": "BYTES", "shape": [1]}
    documents = [
        asked(1, rows.tobytes(), parameters={"binary_data_output": True}),
        asked(1, rows.tobytes(), outputs=[named], id="mine"),
        asked(12, as_bytes),  # an answer that is compressed for those who ask
        asked(12, as_bytes, parameters={"binary_data_output": True, "timeout": 10_000_000}),
        asked(1, file, tensor=files),
        asked(1, file[:40], tensor=files),
        asked(1, rows.tobytes(), outputs=[{**named, "parameters": {"classification": 3}}]),
        asked(1, rows.tobytes(), outputs=[{"name": "nothing"}]),
        asked(1, rows.tobytes(), parameters={"timeout": -1}),
        asked(2, rows.tobytes()),
        asked(0, b""),
        asked(1, rows.tobytes(), tensor={"name": "picture"}),
        asked(1, rows.tobytes(), tensor={"shape": [784]}),
        (b'{"inputs": [', rows.tobytes()),
        (b"", rows.tobytes()),
    ]
    flat = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": rows.ravel().tolist()}
    documents += [(json.dumps({"inputs": [flat | more]}).encode(), b"") for more in ({}, {"data": [256]})]
    return {document + data: len(document) for document, data in documents}


def matrices() -> dict[bytes, int]:
    """Likewise for a table."""
    columns = [
        {"name": column.name, "shape": [2], "datatype": "FP32", "data": [1.5, 2]} for column in IRIS.columns
    ]
    many = np.full((600, 4), 1.5, np.float32)  # more than is answered at once
    size = {"binary_data_size": many.nbytes}
    matrix = {"name": "x", "shape": [600, 4], "datatype": "FP32", "parameters": size}
    documents = [
        (json.dumps({"inputs": columns}).encode(), b""),
        (json.dumps({"inputs": columns[:-1]}).encode(), b""),
        (json.dumps({"inputs": [matrix]}).encode(), many.tobytes()),
        (json.dumps({"inputs": [matrix | {"shape": [600, 3]}]}).encode(), many.tobytes()),
    ]
    return {document + data: len(document) for document, data in documents}


def outcomes(ways: Ways, asked: list[Request]) -> list[tuple[Request, list[Outcome]]]:
    """Of each request: by each way, whole and in pieces."""

    async def compare(request: Request) -> tuple[Request, list[Outcome]]:
        whole = [request.wire + LAST]
        return request, await asyncio.gather(
            *(outcome(way, pieces) for way in ways for pieces in (whole, request.pieces()))
        )

    async def compare_all() -> list[tuple[Request, list[Outcome]]]:
        return await asyncio.gather(*map(compare, asked))

    return asyncio.run(compare_all())


async def outcome(service: Watched, pieces: list[bytes]) -> Outcome:
    """All answers on a connection, until the last request's, or its end."""
    url = service.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        async with asyncio.timeout(SILENCE_S):
            sending = asyncio.create_task(_send(writer, pieces))
            found = await _replies(reader, is_head=b"".join(pieces).lstrip().startswith(b"HEAD"))
            sending.cancel()
            return found
    except TimeoutError:
        return ("silence",)
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        return (repr(error),)
    finally:
        writer.transport.abort()  # closing would wait for what was refused before it had come


async def _send(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    for number, piece in enumerate(pieces):
        if number:
            await asyncio.sleep(PAUSE_S)
        writer.write(piece)
        await writer.drain()


async def _replies(reader: asyncio.StreamReader, is_head: bool) -> Outcome:
    found: list[Reply | str] = []
    while head := await _head(reader):
        status = int(head.split()[1])
        lines = head.decode("latin-1").split("\r\n")[1:]
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        if status == 100:
            continue
        length = 0 if is_head and not found else int(fields.get("content-length", 0))
        body = await reader.readexactly(length)
        if fields.get("x-request-id") == "last":
            return (*found, f"and {status}")
        timed = sorted(fields.keys() - {"content-length"})
        document = _told(fields, body)
        found.append(Reply(status, tuple(timed), fields.get("allow"), document))
    return (*found, "and closed")


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial


def _told(fields: dict[str, str], body: bytes) -> Any:
    if "content-encoding" in fields:
        body = zlib.decompress(body, 32 + zlib.MAX_WBITS)  # of either kind
    content_type = fields.get("content-type", "")
    if "inference-header-content-length" not in fields:
        return _document(content_type, body)
    length = int(fields["inference-header-content-length"])
    document, data = json.loads(body[:length]), body[length:]
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size", 0)
        if output["datatype"] == "FP32":
            output["data"] = np.frombuffer(data[:size], np.float32).round(4).tolist()
        data = data[size:]
    return document


def _document(content_type: str, body: bytes) -> Any:
    """Without what differs from request to request, and by batch."""
    if not (body and content_type.endswith(("/json", "+json"))):  # a table, or lines, of answers
        return re.sub(rb"\d\.\d+(e-\d+)?", lambda number: b"%.4f" % float(number[0]), body)
    document = json.loads(body, parse_float=lambda text: f"{float(text):.4f}")
    document.pop("request_id", None)
    if "detail" in document:
        document["detail"] = re.sub(r"\d+", "N", document["detail"])  # places in what was read
    return document


def differ(found: list[Outcome]) -> bool:
    return len(set(map(repr, found))) > 1


def check(ways: Ways, asked: st.SearchStrategy[Request], batches: int) -> Counter[int]:
    """Ask so many; the statuses that were seen. Fails at the first that is not answered alike.

    That is, again when asked alone; one in all may differ once: a machine may stand still for a while.
    """
    seen: Counter[int] = Counter()
    once: list[str] = []
    different: list[str] = []  # told when all is drawn: hypothesis would ask once more, and cut it short

    @steady(max_examples=batches, phases=[Phase.generate])
    @given(st.lists(asked, min_size=BATCH, max_size=BATCH, unique_by=lambda request: request.wire))
    def batch(several: list[Request]) -> None:
        if different:
            return
        for request, found in outcomes(ways, several):
            if differ(found):
                ((_, again),) = outcomes(ways, [request])
                shown = "\n".join(map(repr, [request, *found, "asked again", *again]))
                (different if once or differ(again) else once).append(shown)
            seen.update(reply.status for reply in found[0][:1] if isinstance(reply, Reply))

    batch()
    if different:
        pytest.fail("\n\n".join([*once, *different]))
    return seen


def test_every_spelling_has_one_answer(
    ways: Ways,
    digits: Digits,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    batches = 2_000 if request.config.getoption("--long") else SHORT
    direct, direct_by_asgi, usual = ways
    direct.by_asgi.clear()
    went_directly = 0
    answered = Direct.answered

    async def counted(*arguments: Any) -> Response | None:
        nonlocal went_directly
        response = await answered(*arguments)
        went_directly += response is not None
        return response

    monkeypatch.setattr(Direct, "answered", counted)
    seen = check(ways, requests(png(digits.images_u8[0]), key), batches)
    assert seen.total() > batches * BATCH * 0.99
    assert {200, 400, 401, 405, 411, 415, 417, 422, 431, 505} <= seen.keys()
    assert seen[200] > seen.total() / 10
    assert len(usual.by_asgi) > len(direct.by_asgi) + 0.05 * seen.total()
    assert len(direct_by_asgi.by_asgi) == len(usual.by_asgi)
    assert went_directly > 0.05 * seen.total()


def test_a_form_of_any_media_type_would_be_found(
    ways: Ways, digits: Digits, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: read directly, a form is one under any media type that has a boundary."""
    monkeypatch.setattr("service.uploads.requests._is_form", lambda _: True)
    with pytest.raises(pytest.fail.Exception, match="status=415"):
        check(ways, requests(png(digits.images_u8[0]), key), SHORT)


def test_fields_behind_the_content_would_be_found(
    ways: Ways, digits: Digits, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: they count when they come together with the head."""

    def on_header(connection: Connection, name: bytes, value: bytes) -> None:
        connection.headers.append((name.lower(), value.strip(b" \t")))

    monkeypatch.setattr(Connection, "on_header", on_header)
    with pytest.raises(pytest.fail.Exception, match=r"(?i)transfer-encoding"):
        check(ways, requests(png(digits.images_u8[0]), key), SHORT)
