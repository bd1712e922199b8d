"""The page's panel for digits, in a real Chromium: drawn on, given files, told what is wrong."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Digits
from tests.web.conftest import tab
from tests.web.strokes import Stroke, strokes_of


@pytest.fixture
def page(browser: Browser, committed_server: httpx.Client) -> Iterator[Page]:
    with tab(browser, committed_server) as page:
        page.goto("/#digit")
        expect(page.get_by_label("Draw a digit")).to_be_visible()
        yield page


def draw(page: Page, strokes: list[Stroke]) -> None:
    """In pixels of a sheet of 28×28, by mouse."""
    box = page.locator(".sheet canvas").bounding_box()
    assert box
    across = box["width"] / 28
    for stroke in strokes:
        for at, (x, y) in enumerate([stroke[0], *stroke]):
            page.mouse.move(box["x"] + (x + 0.5) * across, box["y"] + (y + 0.5) * across)
            if at == 0:
                page.mouse.down()
        page.mouse.up()


def test_real_digits_drawn_stroke_by_stroke_are_read(page: Page, digits: Digits) -> None:
    for label in range(10):
        (first, *_) = np.flatnonzero(digits.labels == label)
        draw(page, strokes_of(digits.images_u8[first]))
        expect(page.get_by_text("Read as dark ink on light")).to_be_visible()
        expect(page.locator(".headline strong")).to_have_text(str(label))
        expect(page.locator(".bars .largest .name")).to_have_text(str(label))
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_text("Nothing to read yet")).to_be_visible()
