"""Bodies that lie: lengths, shapes, strings and JSON that are not what they say: 4xx, at a bounded cost."""

import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import Digits
from tests.protocol.wire import LENGTH, binary, binary_of, body_of, inferred, packed

REQUESTS, GROWTH_BYTES = 200, 150 * 1024 * 1024  # of memory, by bodies of up to 1 MB

LENGTHS: list[Any] = [
    0,
    1,
    3,
    4,
    783,
    785,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    2**64,
    -1,
    1.5,
    "784",
    None,
    True,
    [],
]
DIMENSIONS = (0, 1, 2, 28, 784, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -1, 0.5, "1", None)


@pytest.fixture
def service(committed_server: httpx.Client) -> httpx.Client:
    return committed_server


def resident_bytes(service: httpx.Client) -> int:
    """The memory of whoever listens there."""
    port = service.base_url.port
    connections = psutil.net_connections("tcp")
    listening = {c.pid for c in connections if c.laddr.port == port and c.status == "LISTEN"}
    return sum(psutil.Process(pid).memory_info().rss for pid in listening if pid)


def huge(digits: Digits) -> list[tuple[bytes, dict[str, str]]]:
    """Small requests that say that they are large, or would be if they were believed."""
    image = digits.images_u8[:1].tobytes()
    shapes = ([2**62, 4], [2**32, 2**32], [2**21, 2**21, 2**22], [10**18], [1] * 9, [2**63 - 1, 28, 28])
    return [
        *(body_of(binary("image", image, list(shape), "UINT8")) for shape in shapes),
        *(body_of(binary("image", b"", list(shape), "BYTES")) for shape in shapes),
        body_of(binary("image", (2**32 - 1).to_bytes(4, "little") + b"x", [1], "BYTES")),
        body_of(binary("image", b"\0\0\0\0" * 200_000, [200_000], "BYTES")),
        (b"[" * 900_000, {}),
        (b'{"inputs":' + b"[" * 30_000 + b"]" * 30_000 + b"}", {}),
        (b'{"inputs":[' + b"{}," * 300_000 + b"{}]}", {}),
        (b'{"inputs":[{"data":[' + b"1e0," * 200_000 + b"1]}]}", {}),
        (b'{"id":"' + b"\\u00e9" * 150_000 + b'"}', {}),
        (b'{"a":' + b"9" * 900_000 + b"}", {}),
        (b"{}", {LENGTH: "9" * 30}),
        (b"{}", {LENGTH: "-1"}),
        (b"{}", {LENGTH: "3"}),
        (b"{}", {LENGTH: "1e0"}),
        (zlib.compress(b"\0" * 100_000_000), {"Content-Encoding": "deflate"}),
    ]


def test_what_says_that_it_is_huge_is_refused(service: httpx.Client, digits: Digits) -> None:
    for body, fields in huge(digits):
        answer = inferred(service, "digit", body, **fields)
        assert answer.status_code in (400, 413), answer.text
        assert len(answer.json()["error"]) < 1000


def corrupted(document: dict[str, Any], draw: random.Random) -> None:
    """One thing in it is another."""
    said = draw.choice(document["inputs"])
    changes: list[Callable[[], Any]] = [
        lambda: said["parameters"].update(binary_data_size=draw.choice(LENGTHS)),
        lambda: said["shape"].__setitem__(draw.randrange(len(said["shape"])), draw.choice(DIMENSIONS)),
        lambda: said.update(shape=draw.choice([[], None, "3", [3], [[3]], {}, [1] * 9])),
        lambda: said.update(
            datatype=draw.choice(["FP16", "BF16", "INT64", "BYTES", "BOOL", "fp32", "", None, 3])
        ),
        lambda: said.update(data=draw.choice([[], [1], None, {}, "x", [[1]]])),
        lambda: said.pop(draw.choice(list(said))),
        lambda: document["inputs"].append(dict(said)),
        lambda: document.update(outputs=draw.choice([[{}], [{"name": 3}], {}, [{"name": "x"}], 7])),
        lambda: document.update(
            parameters=draw.choice([[], 3, {"timeout": "x"}, {"binary_data_output": 1}])
        ),
    ]
    draw.choice(changes)()


def mutated(body: bytes, fields: dict[str, str], draw: random.Random) -> tuple[bytes, dict[str, str]]:
    """Its JSON says something else, or its bytes or their lengths are others."""
    length = int(fields[LENGTH])
    document, tail = json.loads(body[:length]), body[length:]
    how = draw.randrange(4)
    if how == 0:
        corrupted(document, draw)
    elif how == 1:
        cut = draw.randrange(len(tail))
        tail = draw.choice([tail[:cut], tail + tail[:cut], tail[cut:], b""])
    elif how == 2:
        at = draw.randrange(len(tail) - 4)
        tail = tail[:at] + draw.randbytes(4) + tail[at + 4 :]
    head = json.dumps(document).encode()
    length = len(head) if how != 3 else draw.choice([0, 1, len(head) - 1, len(head) + 1, len(body), 10**12])
    return head + tail, {LENGTH: str(length)}


@pytest.mark.parametrize("seed", [0, 1])
def test_mutated_bodies_are_a_4xx(service: httpx.Client, digits: Digits, seed: int) -> None:
    draw = random.Random(seed)
    images = body_of(binary_of("image", digits.images_u8[:3]))
    files = body_of(binary("image", packed([b"\x89PNG\r\n\x1a\n", b"GIF89a"]), [2], "BYTES"))
    hours = body_of(binary("hours", bytes(8), [2, 1], "FP32"))
    before = resident_bytes(service)
    assert before
    statuses = set()
    for _ in range(REQUESTS):
        model, (body, fields) = draw.choice([("digit", images), ("digit", files), ("pass", hours)])
        content, said = mutated(body, fields, draw)
        answer = inferred(service, model, content, **said)
        statuses.add(answer.status_code)
        assert answer.status_code == 200 or isinstance(answer.json()["error"], str), answer.text
    assert statuses <= {200, 400, 413, 415}
    assert {200, 400} <= statuses
    assert resident_bytes(service) - before < GROWTH_BYTES
