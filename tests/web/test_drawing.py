"""The page's panel for digits, in a real Chromium: drawn on, asked in turn, seen through, cleared."""

import base64
import json
import re
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, Request, expect

from tests.conftest import Digits, png
from tests.web.conftest import pixels
from tests.web.strokes import Stroke, strokes_of

SCRIBBLE = [
    [(x, 4 if x % 4 < 2 else 24) for x in range(3, 26, 2)],
    [(4 if y % 4 < 2 else 24, y) for y in range(3, 26, 2)],
]


def draw(page: Page, strokes: list[Stroke]) -> None:
    """In pixels of a sheet of 28×28, by mouse."""
    box = page.locator(".sheet canvas").bounding_box()
    assert box
    across = box["width"] / 28
    for stroke in strokes:
        for at, (x, y) in enumerate([stroke[0], *stroke[1:-1:3], stroke[-1]]):
            page.mouse.move(box["x"] + (x + 0.5) * across, box["y"] + (y + 0.5) * across)
            if at == 0:
                page.mouse.down()
        page.mouse.up()


def first_of(digits: Digits, label: int) -> list[Stroke]:
    return strokes_of(digits.images_u8[np.flatnonzero(digits.labels == label)[0]])


def grey(file: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(file)).convert("L"))


def embedded(address: str) -> NDArray[np.uint8]:
    """A picture from its data URL."""
    return grey(base64.b64decode(address.partition(",")[2]))


def finished(page: Page) -> None:
    """What the model saw is the last that comes of a drawing."""
    expect(page.get_by_text("Read as dark ink on light")).to_be_visible()


def test_real_digits_drawn_stroke_by_stroke_are_read(page: Page, digits: Digits) -> None:
    for label in (0, 2, 4, 5, 8):
        draw(page, first_of(digits, label))
        finished(page)
        expect(page.locator(".headline strong")).to_have_text(str(label))
        expect(page.locator(".bars .largest .name")).to_have_text(str(label))
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_text("Nothing to read yet")).to_be_visible()
        expect(page.locator(".bars .value")).to_have_text(["–"] * 10)


def saved(page: Page) -> bytes:
    """The picture that was sent, as the page gives it back."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the picture").click()
    assert download.value.suggested_filename == "digit.png"
    return download.value.path().read_bytes()


def test_one_request_at_a_time_and_the_last_state_is_asked(page: Page, digits: Digits) -> None:
    under_way: set[Request] = set()
    asked: list[tuple[int, str]] = []

    def began(request: Request) -> None:
        if "/predict/" in request.url:
            under_way.add(request)
            asked.append((len(under_way), request.url.partition("?")[2]))

    page.on("request", began)
    page.on("requestfinished", lambda request: under_way.discard(request))
    # One stroke: where the pen is lifted between two, what is there by then is explained.
    draw(page, [max(first_of(digits, 4), key=len)])
    finished(page)
    assert {at_once for at_once, _ in asked} == {1}
    *drawing, (_, last), (_, why) = asked
    assert drawing  # it is asked as it is drawn
    assert (last, why) == ("", "explain=true")
    sheet = pixels(page.locator(".sheet canvas"))[::2, ::2, 0]
    assert ((grey(saved(page)) < 128) == (sheet < 128)).mean() > 0.99  # but for the edge of the ink


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """Lists unrolled, so that pytest.approx can compare every number."""
    numbers = {f"{k}.{i}": x for k, v in answer.items() if isinstance(v, list) for i, x in enumerate(v)}
    return {k: v for k, v in answer.items() if not isinstance(v, list)} | numbers


def test_what_is_shown_is_what_the_service_answers(page: Page, committed_server: httpx.Client) -> None:
    draw(page, [[(14, 4), (14, 12), (14, 24)]])
    finished(page)
    answer = committed_server.post("/predict/digit?explain=true", content=saved(page)).json()
    explanation = answer.pop("explanation")
    shown = json.loads(page.get_by_label("The answer as JSON").inner_text())
    assert flat(shown) == pytest.approx(flat(answer), abs=1e-5)
    saw, weight = (embedded(explanation[name]) for name in ("image", "saliency"))
    assert np.array_equal(pixels(page.locator(".seen canvas").first)[..., 0], saw)
    red, _, blue = np.moveaxis(pixels(page.locator(".seen canvas").last).astype(int), -1, 0)
    warmth, inked = red - blue, saw > 200
    assert warmth[inked & (weight > 200)].min() > warmth[inked & (weight < 100)].max()
    for stage in ("decode", "queue", "infer", "rest"):
        expect(page.locator(".stages div", has_text=stage).locator("dd")).to_have_text(
            re.compile(r"^[\d.]+ ms$")
        )
    expect(page.get_by_text(f"digit version {answer['version']}, on")).to_be_visible()


def chosen(page: Page, name: str, file: bytes) -> None:
    page.get_by_label("Picture", exact=True).first.set_input_files(
        {"name": name, "mimeType": "", "buffer": file}
    )


def test_undo_takes_a_stroke_back_and_clear_all(page: Page) -> None:
    sheet = page.locator(".sheet canvas")
    blank = pixels(sheet)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    draw(page, [[(14, 4), (14, 24)]])
    one = pixels(sheet)
    draw(page, [[(6, 14), (22, 14)]])
    assert not np.array_equal(pixels(sheet), one)
    page.get_by_role("button", name="Undo").click()
    assert np.array_equal(pixels(sheet), one)
    finished(page)
    expect(page.locator(".headline strong")).to_have_text("1")
    page.get_by_label("Draw a digit").press("Control+z")
    assert np.array_equal(pixels(sheet), blank)
    expect(page.get_by_text("Nothing to read yet")).to_be_visible()
    draw(page, [[(14, 4), (14, 24)]])
    page.get_by_role("button", name="Clear").press("Enter")
    expect(page.get_by_label("Draw a digit")).to_be_focused()  # the button is disabled by now


def test_keys_draw_as_well(page: Page) -> None:
    sheet = page.get_by_label("Draw a digit")
    for key in [*["ArrowUp"] * 12, "Space", *["ArrowDown"] * 24, "Space"]:
        sheet.press(key)
    finished(page)
    expect(page.locator(".headline strong")).to_have_text("1")
    sheet.press("Delete")
    expect(page.get_by_text("Nothing to read yet")).to_be_visible()


def test_a_stroke_that_is_taken_back_is_over(page: Page, digits: Digits) -> None:
    """With the pen still down, by keys and by mouse: nothing goes on from where it was."""
    sheet, canvas = page.get_by_label("Draw a digit"), page.locator(".sheet canvas")
    blank = pixels(canvas)
    for key in ["Space", "ArrowUp", "Control+z", *["ArrowUp"] * 5]:
        sheet.press(key)
    assert np.array_equal(pixels(canvas), blank)
    draw(page, [[(14, 4), (14, 24)]])
    one = pixels(canvas)
    for key in ["Space", "ArrowUp", "Control+z", *["ArrowLeft"] * 5]:
        sheet.press(key)
    assert np.array_equal(pixels(canvas), one)
    box = canvas.bounding_box()
    assert box
    for taken_back in ("Control+z", "Delete"):
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 40, box["y"] + 20)
        sheet.press(taken_back)
        page.mouse.move(box["x"] + 90, box["y"] + 90)
        page.mouse.up()
        assert np.array_equal(pixels(canvas), one if taken_back == "Control+z" else blank)
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    chosen(page, "7.png", png(digits.images_u8[np.flatnonzero(digits.labels == 7)[0]]))
    page.mouse.move(box["x"] + 90, box["y"] + 90)
    page.mouse.up()
    expect(page.locator(".headline strong")).to_have_text("7")
    expect(page.locator(".preview img")).to_be_visible()


def test_keys_and_mouse_draw_no_line_from_one_to_the_other(page: Page) -> None:
    sheet, canvas = page.get_by_label("Draw a digit"), page.locator(".sheet canvas")
    box = canvas.bounding_box()
    assert box
    drawn = []
    for before, meanwhile in ((["Space"], ["ArrowUp", "Space"]), (["Space", "Space"], [])):
        for key in before:
            sheet.press(key)
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.down()
        for key in meanwhile:
            sheet.press(key)
        page.mouse.move(box["x"] + 90, box["y"] + 40)
        page.mouse.up()
        sheet.press("ArrowUp")
        drawn.append(pixels(canvas))
        sheet.press("ArrowDown")
        sheet.press("Delete")
    assert np.array_equal(drawn[0], drawn[1])


def test_a_pen_that_is_pressed_harder_draws_wider(page: Page) -> None:
    box = page.locator(".sheet canvas").bounding_box()
    assert box
    devtools = page.context.new_cdp_session(page)
    ink = []
    for force in (0.1, 0.9):
        for kind, down in (("mousePressed", 0.2), ("mouseMoved", 0.8), ("mouseReleased", 0.8)):
            at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + down * box["height"]}
            pen = {"pointerType": "pen", "force": force, "button": "left", "buttons": 1, "clickCount": 1}
            devtools.send("Input.dispatchMouseEvent", {"type": kind, **at, **pen})
        ink.append(int((pixels(page.locator(".sheet canvas")) < 128).sum()))
        page.get_by_role("button", name="Clear").click()
    assert ink[1] > 1.5 * ink[0] > 0


def test_what_is_no_digit_is_said_to_be_none(page: Page) -> None:
    draw(page, SCRIBBLE)
    finished(page)
    expect(page.get_by_text("This does not look like a digit")).to_be_visible()


def test_a_file_of_any_format_is_read(page: Page, digits: Digits) -> None:
    for label, suffix in enumerate(("png", "jpeg", "webp", "avif", "bmp", "gif", "tiff")):
        image = digits.images_u8[np.flatnonzero(digits.labels == label)[0]]
        picture = Image.fromarray(255 - image).resize((112, 112))
        chosen(page, f"scan.{suffix}", png(picture, suffix.upper()))
        expect(page.locator(".headline strong")).to_have_text(str(label))
        shown = ".preview p" if suffix == "tiff" else ".preview img"  # Chromium reads no TIFF
        expect(page.locator(shown)).to_be_visible()


def test_what_cannot_be_read_is_told_in_words(page: Page) -> None:
    for file, words in (
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"", "empty"),
        (png(Image.new("L", (50, 50), 255)), "stands out"),
    ):
        chosen(page, "picture", file)
        expect(page.locator(".fault")).to_contain_text(words)
        expect(page.get_by_text("No answer")).to_be_visible()
        expect(page.get_by_label("The answer as JSON")).to_contain_text("urn:problem-type:abacus:")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".fault")).to_be_empty()
