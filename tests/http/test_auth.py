"""API keys: who may call, over real HTTP."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.http.auth import OpenPaths
from service.http.keys import add_key
from service.settings import Settings
from tests.conftest import ROOT, Served, metric_sum, running, served, wait_for


class Guarded(NamedTuple):
    service: Served
    file: Path
    key: str


@pytest.fixture(scope="module")
def guarded(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    file = tmp_path_factory.mktemp("keys") / "keys"
    key = add_key(file, "laboratory")
    options = ("--api-keys-file", str(file), "--open-paths", "/metrics", "--access-log")
    with served("--artifacts", str(published), *options) as service:
        yield Guarded(service, file, key)


@pytest.mark.parametrize("path", ["/predict/pass", "/models", "/docs", "/openapi.json", "/nowhere", "/web"])
def test_without_a_key_it_is_401(guarded: Guarded, path: str) -> None:
    method = "POST" if path.startswith("/predict") else "GET"
    wrong: tuple[dict[str, str], ...] = ({}, {"X-API-Key": "no"}, {"Authorization": "Basic eA=="})
    for headers in wrong:
        response = guarded.service.client.request(method, path, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json()["type"] == "urn:problem-type:abacus:unauthorized"
        assert response.json()["request_id"] == response.headers["X-Request-ID"]


def test_health_the_page_and_open_paths_need_no_key(guarded: Guarded) -> None:
    for path in ("/health/live", "/health/ready", "/metrics", "/", "/web/page.js"):
        assert guarded.service.client.get(path).status_code == 200


def test_either_header_carries_the_key_and_the_log_names_its_owner(guarded: Guarded) -> None:
    for headers in ({"X-API-Key": guarded.key}, {"Authorization": f"bearer {guarded.key}"}):
        response = guarded.service.client.post("/predict/pass", json={"hours": 4}, headers=headers)
        assert response.status_code == 200
    log = guarded.service.log.read_text()
    assert "caller=laboratory" in log
    assert guarded.key not in log
    assert guarded.key not in guarded.file.read_text()


def test_a_key_is_added_and_taken_away_while_serving(guarded: Guarded) -> None:
    command = [sys.executable, "-m", "service", "key", "visitor", "--file", str(guarded.file)]
    key = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    headers = {"X-API-Key": key}
    wait_for(lambda: guarded.service.client.get("/models", headers=headers).status_code == 200)
    lines = guarded.file.read_text().splitlines()
    guarded.file.write_text(lines[0] + "\n")
    wait_for(lambda: guarded.service.client.get("/models", headers=headers).status_code == 401)


def test_a_broken_edit_changes_nothing_and_is_seen(guarded: Guarded) -> None:
    before = guarded.file.read_text()
    guarded.file.write_text("not a key\n")
    wait_for(lambda: "line 1 is not name:sha256" in guarded.service.log.read_text())
    headers = {"X-API-Key": guarded.key}
    assert guarded.service.client.get("/models", headers=headers).status_code == 200
    wait_for(lambda: _failures(guarded.service) > 1)
    assert guarded.service.log.read_text().count("API keys stay as they were") == 1
    guarded.file.write_text(before)
    wait_for(lambda: "API keys can be read again" in guarded.service.log.read_text())


def _failures(service: Served) -> float:
    return metric_sum(service.client.get("/metrics").text, "abacus_api_keys_read_failures_total")


@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize("prefix", ["/web", "/health", "/v2/health", "/metrics", "/abacus"])
async def test_what_needs_a_key_does_so_under_every_prefix(
    published: Path, tmp_path: Path, prefix: str, mounted: bool
) -> None:
    """Also under one that is called as what is open."""
    key = add_key(tmp_path / "keys", "laboratory")
    settings = Settings(
        artifacts=published,
        api_keys_file=tmp_path / "keys",
        open_paths=["/metrics"],
        root_path="" if mounted else prefix,
    )
    app = create_app(settings)
    outer = FastAPI()
    outer.mount(prefix, app)
    transport = httpx.ASGITransport(outer if mounted else app)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        for path in ("/models", "/predict/pass", "/v2/models/pass/infer"):
            assert (await client.get(f"{prefix}{path}")).status_code == 401
            for seen in (path, 2 * prefix + path):
                assert (await client.get(seen)).status_code in (401, 404), seen
        shown = await client.get(f"{prefix}/models", headers={"X-API-Key": key})
        assert shown.status_code == 200
        for path in ("/", "/web/page.js", "/health/live", "/v2/health/live", "/metrics"):
            assert (await client.get(f"{prefix}{path}")).status_code == 200, path


async def test_openapi_says_that_a_key_is_needed(published: Path, tmp_path: Path) -> None:
    add_key(tmp_path / "keys", "someone")
    open_paths = ("/models",)
    app = create_app(Settings(artifacts=published, api_keys_file=tmp_path / "keys", open_paths=open_paths))
    async with running(app):
        document = app.openapi()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "key"}
    assert "401" in document["paths"]["/predict/pass"]["post"]["responses"]
    for path in ("/health/live", "/v2/health/ready", "/models"):
        assert document["paths"][path]["get"]["security"] == []
        assert "401" not in document["paths"][path]["get"]["responses"]
    assert "security" not in document["paths"]["/metrics"]["get"]
    assert "security" not in create_app(Settings()).openapi()


@pytest.mark.parametrize("opened", ["/predict/pass", "/predict/pass/"])
def test_a_path_is_open_with_what_lies_below_it_and_nothing_else(opened: str) -> None:
    paths = OpenPaths((opened,))
    for path in ("/predict/pass", "/predict/pass/", "/predict/pass/versions/1", "/", "/health/live"):
        assert path in paths
    for path in ("/predict/passed", "/predict", "/predict/digit", "/healthy", "/docs", "//", ""):
        assert path not in paths


async def test_other_origins_are_refused_unless_set(published: Path) -> None:
    headers = {"Origin": "https://example.org"}
    async with running(create_app(Settings(artifacts=published))) as client:
        response = await client.post("/predict/pass", json={"hours": 4}, headers=headers)
        assert "Access-Control-Allow-Origin" not in response.headers
    settings = Settings(artifacts=published, cors_origins=("https://example.org",))
    async with running(create_app(settings)) as client:
        response = await client.post("/predict/pass", json={"hours": 4}, headers=headers)
        assert response.headers["Access-Control-Allow-Origin"] == "https://example.org"
        preflight = headers | {"Access-Control-Request-Method": "POST"}
        assert (await client.options("/predict/pass", headers=preflight)).status_code == 200
        other = await client.post(
            "/predict/pass", json={"hours": 4}, headers={"Origin": "https://evil.example"}
        )
        assert "Access-Control-Allow-Origin" not in other.headers


def test_a_preflight_that_is_allowed_has_an_id_and_a_line_in_the_log(published: Path) -> None:
    """As every other answer; it needs no key, which browsers do not send with it."""
    options = ("--access-log", "--cors-origins", "https://a.example", "--models", "pass")
    with served("--artifacts", str(published), *options) as service:
        preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        paths = ("/predict/pass", "/models")
        for path in paths:
            answer = service.client.options(path, headers={**preflight, "X-Request-ID": f"mine{path}"})
            assert (answer.status_code, answer.headers["x-request-id"]) == (200, f"mine{path}")
            assert answer.headers["access-control-allow-methods"]
        lines = [f"method=OPTIONS path={path} status=200 request_id=mine{path} " for path in paths]
        wait_for(lambda: all(line in service.log.read_text() for line in lines))


@pytest.mark.parametrize(
    ("path", "status", "media_type"),
    [
        ("/predict/pass", 204, None),
        ("/", 204, None),
        ("/nowhere", 404, "application/problem+json"),
        ("/v2/nowhere", 404, "application/json"),
    ],
)
@pytest.mark.parametrize(
    ("origin", "method"), [("https://evil.example", "POST"), ("https://a.example", "PUT")]
)
async def test_a_preflight_that_is_not_allowed_is_answered_as_any_options(
    published: Path, path: str, status: int, media_type: str | None, origin: str, method: str
) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": method}
    async with running(create_app(Settings(artifacts=published))) as client:
        without = await client.options(path, headers=preflight)
    settings = Settings(artifacts=published, cors_origins=("https://a.example",))
    async with running(create_app(settings)) as client:
        answer = await client.options(path, headers=preflight)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, media_type)
    assert answer.headers.get("allow") == without.headers.get("allow")
    assert "x-request-id" in answer.headers
    assert "Access-Control-Allow-Methods" not in answer.headers
    assert answer.headers.get("Access-Control-Allow-Origin") == (None if "evil" in origin else origin)


def test_the_environment_lists_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_OPEN_PATHS", "/metrics, /docs")
    assert Settings().open_paths == ("/metrics", "/docs")
