"""What docs/deploying.md gives to nginx and systemd, and what docs/coming-from.md says there is."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import COMMITTED, ROOT, free_ports, served
from tests.reliability.balanced import is_installed, nginx, running_nginx

DOCS = ROOT / "docs"
PAGE = (DOCS / "deploying.md").read_text(encoding="utf-8")
NAMED = (DOCS / "coming-from.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.+?)^```", PAGE, re.M | re.S)
    return str(text)


@pytest.fixture(scope="module")
def below_a_path() -> Iterator[httpx.Client]:
    """As the page says: `python -m service --root-path /abacus`."""
    (option,) = re.findall(r"python -m service (--root-path \S+)`", PAGE)
    with served("--artifacts", str(COMMITTED), *option.split()) as service:
        yield service.client


@pytest.fixture
def through_nginx(below_a_path: httpx.Client, tmp_path: Path) -> Iterator[httpx.Client]:
    (port,) = free_ports(1)
    server = block("nginx").replace("127.0.0.1:8000", below_a_path.base_url.netloc.decode())
    server = server.replace("listen 80;", f"listen 127.0.0.1:{port};")
    with (
        running_nginx(server, port, tmp_path),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield client


def check_below_a_path(client: httpx.Client) -> None:
    answer = client.post("/abacus/predict/pass", json={"hours": 4})
    assert (answer.status_code, answer.json()["passed"]) == (200, True)
    assert client.get("/abacus/openapi.json").json()["servers"] == [{"url": "/abacus"}]
    assert client.get("/abacus/").status_code == 200
    assert client.get("/abacus/health/ready").json()["ready"]
    large = client.post(
        "/abacus/predict/digit", content=b"x" * 2_000_000, headers={"Content-Type": "image/png"}
    )
    assert large.headers["content-type"] == "application/problem+json"
    assert large.json()["type"].startswith("urn:problem-type:abacus:")


def test_below_a_path(below_a_path: httpx.Client) -> None:
    check_below_a_path(below_a_path)
    assert below_a_path.post("/predict/pass", json={"hours": 4}).status_code == 200


@pytest.mark.skipif(not is_installed(nginx), reason="nginx is not installed")
def test_behind_nginx(through_nginx: httpx.Client) -> None:
    check_below_a_path(through_nginx)
    assert through_nginx.get("/").status_code == 404


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "abacus.service"
    unit.write_text(block("ini").replace("/opt/abacus/.venv/bin/python", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "abacus" in line]) == (0, [])


def test_what_it_is_called_here_is_there(below_a_path: httpx.Client) -> None:
    settings = re.findall(r"^\| `(--[a-z-]+)` \|", SETTINGS, re.M)
    publishing = {"--kind", "--size", "--name"}  # which test_your_own_model.py gives
    paths = below_a_path.get("/openapi.json").json()["paths"].keys()
    known = {re.sub(r"/(pass|digit|object)\b", "/{name}", path) for path in paths}
    ours = [row.split(" | ")[1] for row in NAMED.splitlines() if row.count(" | ") == 1]
    assert len(ours) > 30
    for said in ours:
        assert set(re.findall(r"(?<!\S)`?(--[a-z][a-z-]+)", said)) <= {*settings, *publishing}, said
        for path in re.findall(r"`(?:GET |POST )?(/[^`?]*)", said):
            assert re.sub(r"/digit\b", "/{name}", path) in known, said
