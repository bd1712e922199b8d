"""Numbers on the page, in a real Chromium: drawn or given, each digit with its box and how sure it is."""

import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Digits, png
from tests.web.conftest import SCREENS, tab
from tests.web.test_drawing import chosen, draw

NUMBER = (5, 0, 4)
HEIGHT, ACROSS = 60, 40  # of the picture, and of one digit in it


@pytest.fixture(params=[("desk", "light"), ("phone", "dark")], ids=" ".join)
def page(
    browser: Browser, committed_server: httpx.Client, request: pytest.FixtureRequest
) -> Iterator[Page]:
    screen, theme = request.param
    with tab(browser, committed_server, errors=True, color_scheme=theme, **SCREENS[screen]) as page:
        page.goto("/#digit")
        expect(page.get_by_label("Draw a digit")).to_be_visible()
        yield page


def number(digits: Digits, labels: tuple[int, ...] = NUMBER) -> bytes:
    """Dark on light, each digit in 28 pixels of the 40 that it has."""
    sheet = Image.new("L", (ACROSS * len(labels), HEIGHT), 255)
    for at, label in enumerate(labels):
        image = digits.images_u8[np.flatnonzero(digits.labels == label)[0]]
        sheet.paste(Image.fromarray(255 - image), (ACROSS * at + 6, 16))
    return png(sheet)


def read_as(page: Page, written: str) -> None:
    expect(page.locator(".headline strong")).to_have_text(written)
    expect(page.locator(".headline span")).to_contain_text(f"{len(written)} digits, each at least")
    expect(page.locator(".digits li strong")).to_have_text(list(written))
    expect(page.locator(".boxes .box")).to_have_count(len(written))


def test_a_number_that_is_given_is_shown_whole(page: Page, digits: Digits) -> None:
    chosen(page, "number.png", number(digits))
    read_as(page, "504")
    expect(page.locator(".bars")).to_be_hidden()
    expect(page.locator(".headline")).to_have_attribute("aria-live", "polite")
    expect(page.get_by_label("The request as code")).to_contain_text("/predict/digit?each=true")
    expect(page.get_by_role("list", name="Each digit")).to_be_visible()
    answer = json.loads(page.get_by_label("The answer as JSON").inner_text())
    assert [one["digit"] for one in answer["predictions"]] == list(NUMBER)
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= seen
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_each_box_lies_over_its_digit(page: Page, digits: Digits) -> None:
    chosen(page, "number.png", number(digits))
    read_as(page, "504")
    area = page.locator(".preview img").bounding_box()
    assert area
    across = area["width"] / (ACROSS * len(NUMBER))
    top = area["y"] + (area["height"] - across * HEIGHT) / 2
    for at in range(len(NUMBER)):
        box = page.locator(".boxes .box").nth(at).bounding_box()
        assert box
        left, right = (box["x"] - area["x"]) / across, (box["x"] + box["width"] - area["x"]) / across
        assert ACROSS * at < left < right < ACROSS * (at + 1)
        assert 10 < (box["y"] - top) / across < 30 < (box["y"] + box["height"] - top) / across < 50


def test_a_number_that_is_drawn_is_shown_and_goes_with_the_drawing(page: Page) -> None:
    draw(page, [[(4, 6), (4, 22)], [(14, 6), (14, 22)], [(23, 6), (23, 22)]])
    read_as(page, "111")
    page.get_by_role("button", name="Undo").click()
    read_as(page, "11")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Read as dark ink on light")).to_be_visible()
    expect(page.locator(".headline strong")).to_have_text("1")
    expect(page.locator(".digits")).to_be_hidden()
    expect(page.locator(".bars")).to_be_visible()
    expect(page.locator(".boxes .box")).to_have_count(0)


def test_keys_draw_a_number(page: Page) -> None:
    sheet = page.get_by_label("Draw a digit")
    first = [*["ArrowLeft"] * 8, *["ArrowUp"] * 10, "Space", *["ArrowDown"] * 20, "Space"]
    for key in [*first, *["ArrowRight"] * 14, "Space", *["ArrowUp"] * 20, "Space"]:
        sheet.press(key)
    read_as(page, "11")
    sheet.press("Delete")
    expect(page.get_by_text("Nothing to read yet")).to_be_visible()
    expect(page.locator(".boxes .box")).to_have_count(0)


def test_another_picture_is_without_the_boxes_of_the_last(page: Page, digits: Digits) -> None:
    chosen(page, "number.png", number(digits))
    read_as(page, "504")
    chosen(page, "digit.png", number(digits, (7,)))
    expect(page.get_by_text("Read as dark ink on light")).to_be_visible()
    expect(page.locator(".headline strong")).to_have_text("7")
    expect(page.locator(".boxes .box")).to_have_count(0)
