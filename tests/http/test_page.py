"""The page and its files as they are served: whole, small, typed, kept by browsers, and strict."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.conftest import ROOT, running

WEB = ROOT / "service" / "web"
FILES = sorted(path.name for path in WEB.iterdir())
MOST_BYTES = 100_000
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@pytest.fixture(scope="module")
async def client(published: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(create_app(Settings(artifacts=published))) as client:
        yield client


async def test_the_root_is_the_page(client: httpx.AsyncClient) -> None:
    for accept in ("text/html", "application/json", "*/*"):
        page = await client.get("/", headers={"Accept": accept})
        assert (page.status_code, page.text) == (200, (WEB / "index.html").read_text())
        assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/", *(f"/web/{file}" for file in FILES)])
async def test_a_file_has_its_type_and_is_kept_by_its_etag(client: httpx.AsyncClient, path: str) -> None:
    file = await client.get(path)
    head = await client.head(path)
    suffix = Path(path).suffix or ".html"
    assert (file.status_code, file.headers["content-type"]) == (200, TYPES[suffix])
    assert head.content == b""
    assert {k: v for k, v in head.headers.items() if k != "x-request-id"} == {
        k: v for k, v in file.headers.items() if k != "x-request-id"
    }
    assert file.headers["cache-control"] == "no-cache"
    for tags in (file.headers["etag"], f'"other", {file.headers["etag"]}'):
        unchanged = await client.get(path, headers={"If-None-Match": tags})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == file.headers["etag"]
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


@pytest.mark.parametrize("path", ["/", "/web/api.js", "/docs/static/swagger-ui.css"])
@pytest.mark.parametrize(
    "asked", ["bytes=0-4", "bytes=99999999-", "bytes=5-1", "bytes=", "bytes=a-b", "bytes", "foo=1", ""]
)
async def test_a_file_is_sent_whole_whatever_part_is_asked_for(
    client: httpx.AsyncClient, path: str, asked: str
) -> None:
    whole = await client.get(path)
    answer = await client.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, whole.content)
    assert answer.headers["accept-ranges"] == "none"
    tag = {"Range": asked, "If-Range": whole.headers["etag"]}
    assert (await client.get(path, headers=tag)).content == whole.content


@pytest.mark.parametrize(
    "path", ["/web/", "/web/none.js", "/web/%2e%2e", "/web/%2e%2e%2fapp.py", "/web/a/b.js"]
)
async def test_nothing_else_is_a_file_of_it(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/", "/web/page.js"])
async def test_the_policy_admits_its_own_files_and_nothing_inline(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["require-trusted-types-for"] == "'script'"
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_it_is_small_and_asks_for_nothing_from_elsewhere() -> None:
    texts = {path.name: path.read_text() for path in WEB.iterdir()}
    assert sum(map(len, map(str.encode, texts.values()))) < MOST_BYTES
    for name, text in texts.items():
        urls = set(re.findall(r"https?://[^\s\"'`)]+", text))
        assert urls <= {"http://www.w3.org/2000/svg"}, name  # the name of SVG's elements, asked of nobody
    page = texts["index.html"]
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    preloaded = re.findall(r'(?:href|src)="web/([\w.]+)"', page)
    assert sorted(set(preloaded)) == sorted(set(FILES) - {"index.html"})


@pytest.mark.parametrize("seen", ["", "/abacus"], ids=["taken away", "left"])
async def test_behind_a_proxy_s_prefix(published: Path, seen: str) -> None:
    """What it names is relative to it: the address that a browser shows must end in a slash."""
    app = create_app(Settings(artifacts=published, root_path="/abacus"))
    async with running(app) as client:
        assert (await client.get(f"{seen}/")).status_code == 200
        assert (await client.get(f"{seen}/web/page.js")).status_code == 200
        bare = await client.get("/abacus")
        assert (bare.status_code, bare.headers["location"]) == (307, "/abacus/")


def test_no_address_in_it_begins_at_the_root() -> None:
    for path in WEB.iterdir():
        assert not re.search(r"""(?:href|src|fetch\(|address\()=?["'`]/""", path.read_text()), path.name
