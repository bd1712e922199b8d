"""Clients that people have, as they come: each asks the real service; one that is not installed is skipped.

curl and Java's are among the tests that always run; `make test-clients` runs all.
"""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import BASELINE, ROOT

PICTURE = BASELINE / "samples" / "7.png"
CLIENTS = ROOT / "tests" / "clients"
HOURS = '{"hours": 4}'
AS_JSON = ("-H", "Content-Type: application/json", "-d", HOURS)
IN_JSON = json.dumps({"image": base64.b64encode(PICTURE.read_bytes()).decode()})
AS_PNG = ("-H", "Content-Type: image/png", "--data-binary", f"@{PICTURE}")


@pytest.fixture
def address(committed_server: httpx.Client) -> str:
    return str(committed_server.base_url)


def run(client: str, *arguments: str, stdin: str | None = None) -> str:
    """What a client prints. Skips the test where it is not installed."""
    if not shutil.which(client):
        pytest.skip(f"{client} is not installed")
    done = subprocess.run(
        [client, *arguments], capture_output=True, text=True, timeout=120, input=stdin, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(*arguments: str) -> list[str]:
    """The status and the body of each answer, and how many connections were made for it."""
    shown = "\n%{http_code} %{num_connects}\n"
    return run("curl", "--silent", "--show-error", "--write-out", shown, *arguments).split("\n")


def answers(printed: str) -> list[tuple[int, Any]]:
    """Of lines with a status, a version and a body."""
    found = []
    for line in printed.splitlines():
        status, _, body = line.split(" ", 2)
        found.append((int(status), json.loads(body) if body else None))
    return found


def check(printed: str, passes: int, digits: int) -> None:
    """So many predictions of each kind are right, and all others are answered as they should be."""
    found = answers(printed)
    predictions = found[: passes + digits]
    assert [status for status, _ in predictions] == [200] * (passes + digits)
    assert [body["passed"] for _, body in predictions[:passes]] == [True] * passes
    assert [body["digit"] for _, body in predictions[passes:]] == [7] * digits
    assert all(status in (200, 204) for status, _ in found)


CURL = {
    "as it comes": (AS_JSON, "/predict/pass"),
    "an offer of HTTP/2": (("--http2", *AS_JSON), "/predict/pass"),
    "HTTP/1.0": (("--http1.0", *AS_JSON), "/predict/pass"),
    "a picture": (AS_PNG, "/predict/digit"),
    "a picture, offering HTTP/2": (("--http2", *AS_PNG), "/predict/digit"),
    "bytes": (("-H", "Content-Type: application/octet-stream", *AS_PNG[2:]), "/predict/digit"),
    "no type": (("-H", "Content-Type:", *AS_PNG[2:]), "/predict/digit"),
    "Base64": (("-H", "Content-Type: application/json", "-d", IN_JSON), "/predict/digit"),
    "a form": (("-F", f"file=@{PICTURE}"), "/predict/digit"),
    "a form, offering HTTP/2": (("--http2", "-F", f"file=@{PICTURE}"), "/predict/digit"),
    "waiting to be asked": (("-H", "Expect: 100-continue", *AS_PNG), "/predict/digit"),
    "waiting, offering HTTP/2": (("--http2", "-H", "Expect: 100-continue", *AS_PNG), "/predict/digit"),
    "in chunks": (("-H", "Transfer-Encoding: chunked", *AS_PNG), "/predict/digit"),
    "chunks, offering HTTP/2": (("--http2", "-H", "Transfer-Encoding: chunked", *AS_JSON), "/predict/pass"),
}


@pytest.mark.parametrize("how", CURL)
def test_curl(address: str, how: str) -> None:
    """Twice over one connection, but for HTTP/1.0."""
    options, path = CURL[how]
    body, status, again, status_again, _ = curl(*options, *(2 * [address + path]))
    assert status == "200 1"
    assert status_again == ("200 1" if how == "HTTP/1.0" else "200 0")
    for answer in map(json.loads, (body, again)):
        assert answer.get("digit", 7) == 7
        assert answer.get("passed", True) is True


@pytest.mark.parametrize("names", [("file[]", "file[]"), ("file[0]", "file[1]")], ids=" ".join)
def test_curl_with_the_names_of_a_list(address: str, names: tuple[str, str]) -> None:
    """As axios, Faraday and PHP call files; and, as browsers do, an input where none was chosen."""
    files = [option for name in names for option in ("-F", f"{name}=@{PICTURE};type=image/png")]
    unchosen = ("-F", "file=@/dev/null;filename=;type=application/octet-stream")
    body, status, _ = curl(*files, *unchosen, f"{address}/predict/digit")
    assert status == "200 1"
    assert [prediction["digit"] for prediction in json.loads(body)["predictions"]] == [7, 7]


def test_curl_asks_for_the_head_alone(address: str) -> None:
    head = "\n".join(curl("-I", f"{address}/health/ready"))
    assert "HTTP/1.1 200 OK" in head
    assert "\n200 1" in head


def test_curl_is_told_what_is_not_read(address: str, tmp_path: Path) -> None:
    packed = tmp_path / "hours.gz"
    packed.write_bytes(b"\x1f\x8b")
    fields = ("-H", "Content-Type: application/json", "-H", "Content-Encoding: gzip")
    body, status, _ = curl(*fields, "--data-binary", f"@{packed}", f"{address}/predict/pass")
    assert status.startswith("415")
    assert "identity" in json.loads(body)["detail"]


def test_java_as_it_comes(address: str) -> None:
    """Its default client offers HTTP/2 with every request."""
    printed = run("java", str(CLIENTS / "Asks.java"), address, str(PICTURE))
    assert printed.count(" HTTP_1_1 ") == 7
    check(printed, passes=2, digits=3)


@pytest.mark.clients
def test_php_s_curl(address: str) -> None:
    if "curl" not in run("php", "-m"):
        pytest.skip("php has no curl")
    check(run("php", str(CLIENTS / "asks.php"), address, str(PICTURE)), passes=2, digits=2)


@pytest.mark.clients
def test_fetch_of_node(address: str) -> None:
    check(run("node", str(CLIENTS / "asks.mjs"), address, str(PICTURE)), passes=1, digits=3)


@pytest.mark.clients
def test_wget(address: str) -> None:
    run("wget", "--spider", "--quiet", f"{address}/health/ready")
    fields = ("--header=Content-Type: application/json", f"--post-data={HOURS}")
    body = run("wget", "--quiet", "--output-document=-", *fields, f"{address}/predict/pass")
    assert json.loads(body)["passed"] is True


@pytest.mark.clients
def test_netcat_that_closes_one_direction(address: str) -> None:
    url = httpx.URL(address)
    fields = ("Host: x", "Content-Type: application/json", f"Content-Length: {len(HOURS)}")
    request = "\r\n".join(("POST /predict/pass HTTP/1.1", *fields, "", HOURS))
    answer = run("nc", "-N", url.host, str(url.port), stdin=request)
    assert answer.startswith("HTTP/1.1 200 OK")


PYTHON = {
    "urllib": """
import urllib.request
fields = {"Content-Type": "application/json"}
request = urllib.request.Request(address + "/predict/pass", b'{"hours": 4}', fields)
print(urllib.request.urlopen(request).read().decode())
""",
    "http.client": """
import http.client, json
connection = http.client.HTTPConnection(address.removeprefix("http://"))
for body in (b'{"hours": 4}', iter([b'{"hours"', b": 4}"])):
    connection.request("POST", "/predict/pass", body, {"Content-Type": "application/json"})
    answer = connection.getresponse().read().decode()
print(answer)
""",
    "requests": """
import requests
session = requests.Session()
for _ in range(2):
    answer = session.post(address + "/predict/pass", json={"hours": 4})
print(answer.text)
""",
    "aiohttp": """
import asyncio, aiohttp
async def ask():
    async with aiohttp.ClientSession() as session:
        async with session.post(address + "/predict/pass", json={"hours": 4}) as answer:
            print(await answer.text())
asyncio.run(ask())
""",
}


@pytest.mark.clients
@pytest.mark.parametrize("client", PYTHON)
def test_python_s_clients(address: str, client: str) -> None:
    pytest.importorskip(client)
    program = f"address = {address!r}\n{PYTHON[client]}"
    assert json.loads(run(sys.executable, "-c", program))["passed"] is True


@pytest.mark.clients
def test_httpx(committed_server: httpx.Client) -> None:
    for _ in range(2):
        answer = committed_server.post("/predict/digit", files={"file": PICTURE.read_bytes()})
        assert answer.json()["digit"] == 7
        assert committed_server.head("/health/live").content == b""
