"""How soon a table's panel has its answer: what it waits for, and how long, as `make test-page` prints."""

import re
from statistics import median

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.conftest import ROOT
from tests.web.conftest import tab

WEB = ROOT / "service" / "web"
ROUNDS = 7

# Milliseconds since the navigation began: the load event, and of each request its start and its end.
TIMES = """(() => {
    const [page] = performance.getEntriesByType("navigation");
    const of = ({ name, startTime, responseEnd }) => [new URL(name).pathname, startTime, responseEnd];
    return [page.loadEventStart, performance.getEntriesByType("resource").map(of)];
})()"""


def times(page: Page) -> tuple[float, dict[str, tuple[float, float]]]:
    page.goto("/#pass")
    expect(page.get_by_label("The answer as JSON")).to_contain_text('"model": "pass"')
    load, requests = page.evaluate(TIMES)
    return load, {path: (start, end) for path, start, end in reversed(requests)}  # the first of each


def test_every_module_is_asked_for_by_the_page_itself() -> None:
    """Otherwise one is found only when another is there: a wait of its own for each step."""
    page = (WEB / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:href|src)="web/([\w-]+\.js)"', page))
    assert named == {path.name for path in WEB.glob("*.js")}


def test_the_models_are_asked_for_before_the_panels_are_there(
    browser: Browser, committed_server: httpx.Client
) -> None:
    held: list[Route] = []
    with tab(browser, committed_server) as page:
        page.route("**/web/table.js", lambda route: held.append(route))
        with page.expect_request("**/models"):
            page.goto("/#pass", wait_until="commit")
        expect(page.locator("#panel")).to_be_empty()
        for route in held:
            route.continue_()
        expect(page.get_by_label("The answer as JSON")).to_contain_text('"model": "pass"')


@pytest.mark.page
def test_how_soon_it_is_answered(
    browser: Browser, committed_server: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for _ in range(ROUNDS):
        with tab(browser, committed_server) as page:
            load, requests = times(page)
            answered = requests["/predict/pass"][1]
            found.append((answered - load, answered, requests["/models"][0]))
    assert all(asked < answered for _, answered, asked in found)
    after_load, since_start, asked = map(median, zip(*found, strict=True))
    with capsys.disabled():
        print(
            f"\nthe page's first answer: {after_load:.0f} ms after load, {since_start:.0f} ms after "
            f"it was opened; its models were asked for at {asked:.0f} ms (medians of {ROUNDS})"
        )
