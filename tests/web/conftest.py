"""A real Chromium, headless; every test that needs it is skipped where there is none."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")

Open = Callable[..., Page]


@pytest.fixture(scope="module")  # beyond the module its event loop would be in the way of other tests
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def tab(browser: Browser, client: httpx.Client, **options: object) -> Iterator[Page]:
    """A page of a browser that has nothing of an earlier one; it must leave nothing on the console.

    But for a line that Chromium itself writes about an answer that is an error.
    """
    context = browser.new_context(base_url=str(client.base_url), **options)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(_line(message)))
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert [line for line in said if not line.startswith("error: Failed to load resource")] == []


def _line(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"
