"""The reference page works offline, behind a proxy's prefix, and admits nothing from elsewhere."""

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.conftest import running


def linked(page: str) -> list[str]:
    """What the page has a browser load."""
    return re.findall(r'(?:src|href)="([^"]+)"', page)


async def test_the_document_and_its_page_are_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json()["info"]["title"] == "Abacus"
    page = await client.get("/docs")
    assert "text/html" in page.headers["content-type"]
    assert "'/openapi.json'" in page.text
    assert (await client.get("/redoc")).status_code == 404


async def test_all_that_the_page_loads_is_served_here(client: httpx.AsyncClient) -> None:
    urls = linked((await client.get("/docs")).text)
    assert len(urls) == 3
    for url in urls:
        file = await client.get(url)
        assert url.startswith("/docs/static/")
        assert file.status_code == 200
        unchanged = await client.get(url, headers={"If-None-Match": file.headers["etag"]})
        assert unchanged.status_code == 304


async def test_the_page_may_load_its_own_files_and_nothing_else(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    (inline,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert policy["script-src"].split() == ["'self'", f"'sha256-{digest}'"]
    assert "http" not in page.headers["content-security-policy"]
    assert policy["connect-src"] == "'self'"
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("seen", ["", "/abacus"], ids=["taken away", "left"])
async def test_behind_a_proxy_s_prefix(published: Path, seen: str) -> None:
    """Nginx takes the prefix away where `proxy_pass` ends in a slash, and leaves it otherwise."""
    app = create_app(Settings(artifacts=published, root_path="/abacus/"))
    async with running(app) as client:
        page = (await client.get(f"{seen}/docs")).text
        assert "'/abacus/openapi.json'" in page
        for url in linked(page):
            assert url.startswith("/abacus/docs/static/")
            assert (await client.get(seen + url.removeprefix("/abacus"))).status_code == 200
        document = (await client.get(f"{seen}/openapi.json")).json()
        assert document["servers"] == [{"url": "/abacus"}]
        answer = await client.post(f"{seen}/predict/pass", json={"hours": 4})
        assert answer.json()["model"] == "pass"
        assert (await client.get(f"{seen}/health/ready")).status_code == 200
        metrics = (await client.get(f"{seen}/metrics")).text
        assert 'route="/predict/pass",status="200"' in metrics
        assert (await client.get("/abacuses/docs")).status_code == 404


async def test_pages_of_other_origins_may_read_what_errors_need(published: Path) -> None:
    app = create_app(Settings(artifacts=published, cors_origins=("https://example.org",)))
    async with running(app) as client:
        answer = await client.post("/predict/pass", content=b"{", headers={"Origin": "https://example.org"})
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"X-Request-ID", "Server-Timing", "Retry-After"}
