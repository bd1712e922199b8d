"""What the shipped models answer is what clients were written for: to the byte, but for computed numbers.

`tests/data/answers.json` has the answers of the release that knew both models by name; newer is what is
told of another media type, as CSV is read since, and the `reason` and the `boxes` of digits.
"""

import json
import re
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import COMMITTED, ROOT

JSON = "application/json"
SAMPLES = COMMITTED / "digit" / (COMMITTED / "digit" / "current").read_text().strip() / "samples"
KEPT_FIELDS = {"content-type", "content-length", "server-timing", "x-request-id", "retry-after", "allow"}

DOCUMENTS = {
    "one": '{"hours": 4.0}',
    "an integer": '{"hours": 0}',
    "several": '{"hours": [1, 2, 3.5]}',
    "a list of one": '{"hours": [30]}',
    "none": '{"hours": []}',
    "negative": '{"hours": -1}',
    "some are wrong": '{"hours": [1, -2, "a"]}',
    "a string": '{"hours": "4"}',
    "null": '{"hours": null}',
    "a boolean": '{"hours": true}',
    "NaN": '{"hours": NaN}',
    "infinity": '{"hours": Infinity}',
    "beyond float32": '{"hours": 1e39}',
    "beyond float64": '{"hours": [1e400]}',
    "nothing": "{}",
    "a number": "3",
    "another key": '{"hours": 4, "x": 1}',
    "another key alone": '{"x": 1}',
    "an object": '{"hours": {"a": 1}}',
    "a list in a list": '{"hours": [[1]]}',
    "null in a list": '{"hours": [1, null]}',
    "cut off": '{"hours"',
    "empty": "",
    "twice": '{"hours": 4, "hours": 5}',
    "many": json.dumps({"hours": [1.0] * 257}),
    "too many": json.dumps({"hours": [1.0] * 10_001}),
    "many strings": json.dumps({"hours": ["x"] * 50}),
    "very many strings": json.dumps({"hours": ["x"] * 3_000}),
    "many keys": json.dumps({"hours": 4, **{f"k{i}": 1 for i in range(60)}}),
    "a long list, one wrong": json.dumps({"hours": [1.0] * 700 + [-1.0]}),
}


class Asked(NamedTuple):
    path: str
    content_type: str | None
    body: bytes
    method: str = "POST"


def form(*files: tuple[str, bytes]) -> bytes:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%b"; filename="a.png"\r\n\r\n%b\r\n'
        % (n.encode(), f)
        for n, f in files
    ]
    return b"".join(parts) + b"--b--\r\n"


def asked() -> dict[str, Asked]:
    seven, three = ((SAMPLES / f"{digit}.png").read_bytes() for digit in (7, 3))
    multipart = "multipart/form-data; boundary=b"
    requests = {f"pass: {name}": Asked("/predict/pass", JSON, d.encode()) for name, d in DOCUMENTS.items()}
    requests |= {
        "pass: text": Asked("/predict/pass", "text/plain", b"4"),
        "pass: no type": Asked("/predict/pass", None, b'{"hours": 4}'),
        "digit: body": Asked("/predict/digit", "image/png", seven),
        "digit: explained": Asked("/predict/digit?explain=true", "image/png", seven),
        "digit: perhaps explained": Asked("/predict/digit?explain=perhaps", "image/png", seven),
        "digit: form": Asked("/predict/digit", multipart, form(("file", seven))),
        "digit: two": Asked("/predict/digit", multipart, form(("file", seven), ("file", three))),
        "digit: two explained": Asked("/predict/digit?explain=1", multipart, form(*[("file", seven)] * 2)),
        "digit: one is empty": Asked("/predict/digit", multipart, form(("file", seven), ("file", b""))),
        "digit: another field": Asked("/predict/digit", multipart, form(("x", seven))),
        "digit: no file": Asked("/predict/digit", multipart, form()),
        "digit: no picture": Asked("/predict/digit", multipart, form(("file", b"hello"))),
        "digit: no boundary": Asked("/predict/digit", "multipart/form-data", form(("file", seven))),
        "digit: text": Asked("/predict/digit", "text/plain", seven),
        "digit: nothing": Asked("/predict/digit", "image/png", b""),
    }
    for method in ("GET", "OPTIONS", "HEAD", "PUT"):
        for model in ("pass", "digit"):
            requests[f"{model}: {method}"] = Asked(f"/predict/{model}", None, b"", method)
    return requests


def answered(client: httpx.Client, asked: Asked) -> list[Any]:
    """Status, fields, and the body without what differs from run to run."""
    headers = {"Content-Type": asked.content_type} if asked.content_type else {}
    response = client.request(asked.method, asked.path, headers=headers, content=asked.body)
    text = re.sub(r'"request_id":"[0-9a-f]{32}"', '"request_id":"…"', response.text)
    text = re.sub(r"\d\.\d+(e-\d+)?", "0.0", text)
    text = re.sub(r'"version":\d+', '"version":0', text)
    text = re.sub(r"data:image/png;base64,[\w+/=]+", "data:image/png;base64,…", text)
    timing = re.sub(r"[\d.]+", "0", response.headers.get("server-timing", ""))
    fields = sorted(KEPT_FIELDS & set(response.headers))
    allow = response.headers.get("allow")
    return [response.status_code, fields, response.headers.get("content-type"), timing, allow, text]


@pytest.mark.parametrize("name", asked())
def test_answers_are_as_they_were(committed_server: httpx.Client, name: str) -> None:
    before = json.loads((ROOT / "tests" / "data" / "answers.json").read_text(encoding="utf-8"))
    assert answered(committed_server, asked()[name]) == before[name]
