"""Pictures as people drop them on the page: from folders, several, folders themselves, from other pages."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import COMMITTED
from tests.web.test_drawing import chosen

SAMPLES = sorted(COMMITTED.glob("digit/*/samples"))[-1]
SEVEN = SAMPLES / "7.png"

# An example that is a PNG only when `go` is called; what `kept` holds is in the browser's memory.
SLOW = """() => {
    window.kept = new Set();
    const [made, let_go] = [URL.createObjectURL, URL.revokeObjectURL];
    URL.createObjectURL = file => { const url = made(file); kept.add(url); return url; };
    URL.revokeObjectURL = url => { kept.delete(url); let_go(url); };
    const convert = OffscreenCanvas.prototype.convertToBlob;
    OffscreenCanvas.prototype.convertToBlob = function (options) {
        const { promise, resolve } = Promise.withResolvers();
        const blob = convert.call(this, options);
        window.go = async () => { resolve(await blob); await promise; };
        return promise;
    };
}"""
# Whether the page takes it.
PASTED = """where => {
    const files = new DataTransfer();
    files.items.add(new File(["no picture"], "a.png", { type: "image/png" }));
    const options = { clipboardData: files, bubbles: true, cancelable: true };
    return !document.querySelector(where).dispatchEvent(new ClipboardEvent("paste", options));
}"""


def drop(page: Page, *paths: Path, address: str = "") -> None:
    """As the browser's own window has it."""
    items = [{"mimeType": "text/uri-list", "data": address}] if address else []
    data = {"items": items, "files": [str(path) for path in paths], "dragOperationsMask": 1}
    box = page.locator(".sheet").bounding_box()
    assert box
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 50, "y": box["y"] + 50}
        devtools.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def test_of_several_files_the_first_is_read_and_the_page_says_so(page: Page) -> None:
    drop(page, SEVEN, SAMPLES / "2.png", SAMPLES / "3.png")
    expect(page.get_by_text("One picture at a time: of these 3 files the first.")).to_be_visible()
    expect(page.locator(".headline strong")).to_have_text("7")
    drop(page, SAMPLES / "2.png")
    expect(page.locator(".headline strong")).to_have_text("2")
    expect(page.get_by_text("One picture at a time")).to_have_count(0)


def test_a_picture_of_another_page_is_no_file(page: Page) -> None:
    drop(page, address="http://127.0.0.1/picture.png")
    expect(page.get_by_text("That is no file: save the picture")).to_be_visible()
    drop(page, SEVEN)
    expect(page.locator(".headline strong")).to_have_text("7")
    expect(page.get_by_text("That is no file")).to_have_count(0)


def test_a_folder_and_a_file_that_is_gone_cannot_be_read(page: Page, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    drop(page, tmp_path / "scans")
    expect(page.locator(".fault")).to_contain_text("scans cannot be read: it is a folder")
    file = tmp_path / "7.png"
    file.write_bytes(SEVEN.read_bytes())
    page.route("**/predict/**", lambda route: route.abort("connectionrefused"))
    drop(page, file)
    expect(page.locator(".fault")).to_contain_text("The service does not answer.")
    page.unroute_all()
    file.unlink()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".fault")).to_contain_text("7.png cannot be read")


def test_a_late_example_is_not_in_the_place_of_a_picture_nor_of_another_model(page: Page) -> None:
    """And no picture that was shown or saved is kept."""
    page.evaluate(SLOW)
    page.get_by_role("button", name="Example").click()
    chosen(page, "7.png", SEVEN.read_bytes())
    expect(page.locator(".headline strong")).to_have_text("7")
    page.evaluate("go()")
    expect(page.get_by_role("img", name="7.png")).to_be_visible()
    with page.expect_download():
        page.get_by_role("button", name="Save the picture").click()
    page.get_by_role("button", name="Example").click()
    page.get_by_role("link", name="pass").click()
    expect(page.get_by_label("hours", exact=True)).to_be_visible()
    page.evaluate("go()")
    assert page.evaluate("[...kept]") == []


def test_a_picture_is_pasted_but_not_into_a_field(page: Page) -> None:
    assert page.evaluate(PASTED, "body")
    expect(page.get_by_text("No answer")).to_be_visible()
    assert not page.evaluate(PASTED, "#key-field")


@pytest.mark.parametrize("name", ["7.txt", "7.json", "7.csv", "7.pdf", "7"])
def test_the_name_of_a_picture_does_not_count(page: Page, name: str) -> None:
    chosen(page, name, SEVEN.read_bytes())
    expect(page.locator(".headline strong")).to_have_text("7")
    expect(page.get_by_label("The request as code")).to_contain_text(f"@{name}'")
