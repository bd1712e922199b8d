"""A real Chromium, headless; every test that needs it is skipped where there is none."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")

# What Chromium itself writes when an answer is an error, whatever a page makes of it.
OF_CHROMIUM = "error: Failed to load resource"

SCREENS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "tablet": {"viewport": {"width": 820, "height": 1180}},
    "desk": {"viewport": {"width": 1280, "height": 900}},
}
# What has moved on a page since it was opened, though nobody moved it: how far, and its markup.
SHIFTS = """new Promise(resolve => new PerformanceObserver(list => resolve(list.getEntries().map(
    ({ value, sources }) => [value, ...sources.map(({ node }) => node?.outerHTML?.slice(0, 80))]
))).observe({ type: "layout-shift", buffered: true }) || setTimeout(() => resolve([]), 200))"""


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
def tab(browser: Browser, client: httpx.Client, errors: bool = False, **options: Any) -> Iterator[Page]:
    """A page of a browser that has nothing of an earlier one; it must leave nothing on the console.

    `errors`: whether the service is asked what it answers with one.
    """
    context = browser.new_context(base_url=str(client.base_url), **options)
    page = context.new_page()
    page.set_default_timeout(120_000)
    expect.set_options(timeout=120_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(_line(message)))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [line for line in said if not (errors and line.startswith(OF_CHROMIUM))] == []


@pytest.fixture
def page(browser: Browser, committed_server: httpx.Client) -> Iterator[Page]:
    """One that shows the digits."""
    with tab(browser, committed_server, errors=True) as page:
        page.goto("/#digit")
        expect(page.get_by_label("Draw a digit")).to_be_visible()
        yield page


def pixels(canvas: Locator) -> NDArray[np.uint8]:
    """What is on a canvas: [height, width, 3]."""
    address = str(canvas.evaluate("canvas => canvas.toDataURL()"))
    picture = Image.open(BytesIO(base64.b64decode(address.partition(",")[2])))
    return np.asarray(picture.convert("RGB"))


def _line(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"
