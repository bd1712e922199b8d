"""The page for everyone: by keys, on a phone, in the dark, without a shift; and its code runs."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.conftest import ROOT
from tests.web.conftest import SCREENS, SHIFTS, tab

WEB = ROOT / "service" / "web"

FOCUSED = """(({ id, innerText }, label) => label ?? (innerText || id))(
    document.activeElement, document.activeElement.getAttribute("aria-label"))"""


def answered(page: Page, model: str) -> None:
    """Asked by the page itself, or with an example."""
    page.goto(f"/#{model}")
    if model != "pass":
        page.get_by_role("button", name="Example").click()
    expect(page.get_by_label("The answer as JSON")).to_contain_text(f'"model": "{model}"')
    if model == "digit":
        expect(page.get_by_text("Read as light ink on dark")).to_be_visible()


@pytest.mark.parametrize(
    ("model", "theme", "screen"),
    [
        ("digit", "dark", "phone"),
        pytest.param("object", "dark", "desk", marks=pytest.mark.page),
        pytest.param("pass", "light", "phone", marks=pytest.mark.page),
    ],
)
def test_axe_finds_nothing_and_nothing_shifts(
    browser: Browser, committed_server: httpx.Client, model: str, theme: str, screen: str
) -> None:
    with tab(browser, committed_server, color_scheme=theme, **SCREENS[screen]) as page:
        answered(page, model)
        assert page.evaluate(SHIFTS) == []
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= seen
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []


def luminance(colour: str) -> float:
    """Relative, as WCAG has it; `colour`: #rrggbb or #rgb."""
    digits = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    shares = np.array([int(digits[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_edge_of_a_field_is_seen(theme: str) -> None:
    """By three to one (WCAG 1.4.11), which axe does not look at."""
    light, dark = (WEB / "page.css").read_text(encoding="utf-8").split("@media", 2)[:2]
    colours = dict(re.findall(r"--(\w+): (#\w+);", light if theme == "light" else dark))
    edge, *others = (luminance(colours[name]) for name in ("edge", "card", "ground"))
    for other in others:
        assert (max(edge, other) + 0.05) / (min(edge, other) + 0.05) >= 3


def test_at_320_pixels_nothing_is_beside_the_screen(
    browser: Browser, committed_server: httpx.Client
) -> None:
    """As wide as 1,280 pixels are at a zoom of 400 % (WCAG 1.4.10)."""
    with tab(browser, committed_server, viewport={"width": 320, "height": 256}) as page:
        for model in ("digit", "pass"):
            answered(page, model)
            assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [320, 320]


def test_at_320_pixels_a_curve_that_is_waited_for_is_not_beside_the_screen(
    browser: Browser, committed_server: httpx.Client
) -> None:
    """A drawing that has no width yet would take 300 pixels."""
    with tab(browser, committed_server, viewport={"width": 320, "height": 256}) as page:
        page.route("**/predict/pass", lambda _: None)
        page.goto("/#pass")
        expect(page.locator(".curve svg")).to_be_attached()
        assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [320, 320]


def test_of_many_models_some_are_seen_and_the_focus_stays(
    browser: Browser, committed_server: httpx.Client
) -> None:
    models = committed_server.get("/models").json()["models"]
    (model,) = [one for one in models if one["name"] == "pass"]
    many = [model | {"name": f"pass-of-a-long-name-{at}"} for at in range(60)]
    with tab(browser, committed_server, errors=True, **SCREENS["phone"]) as page:
        page.route("**/models", lambda route: route.fulfill(json={"models": [*many, *models]}))
        page.goto("/#pass")
        link = page.get_by_role("link", name="pass", exact=True)
        expect(link).to_have_attribute("aria-current", "page")
        for shown in (link, page.get_by_label("hours", exact=True)):
            expect(shown).to_be_in_viewport()
        page.get_by_role("link", name="digit").press("Enter")
        expect(page.get_by_label("Draw a digit")).to_be_visible()
        expect(page.get_by_role("link", name="digit")).to_be_focused()
        expect(link).not_to_have_attribute("aria-current", "page")
        assert [one["id"] for one in Axe().run(page).response["violations"]] == []


def test_every_control_has_its_turn_with_the_tab_key(
    browser: Browser, committed_server: httpx.Client
) -> None:
    with tab(browser, committed_server) as page:
        answered(page, "pass")
        page.evaluate("document.activeElement.blur()")
        reached = []
        for _ in range(14):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(FOCUSED))
        assert reached[:6] == ["To the model", "digit", "object", "pass", "API key", "Reference"]
        assert reached[6:9] == ["field-0", "hours, slider", "Another example"]
        assert "The answer as JSON" in reached
        assert "Copy" in reached


@pytest.mark.page
def test_the_code_that_is_shown_runs(
    browser: Browser, committed_server: httpx.Client, tmp_path: Path
) -> None:
    with tab(browser, committed_server) as page:
        for model, answer in (("pass", '"passed": true'), ("digit", '"digit"')):
            answered(page, model)
            expect(page.get_by_label("The answer as JSON")).to_contain_text(answer)
            shown = json.loads(page.get_by_label("The answer as JSON").inner_text())
            if model == "digit":
                with page.expect_download() as download:
                    page.get_by_role("button", name="Save the picture").click()
                download.value.save_as(tmp_path / download.value.suggested_filename)
            for language, run in RUN.items():
                if not shutil.which(run[0]):
                    continue
                page.get_by_label("Language").select_option(language)
                code = page.get_by_label("The request as code").inner_text()
                done = subprocess.run(
                    [*run, code], cwd=tmp_path, capture_output=True, text=True, timeout=120
                )
                assert done.returncode == 0, done.stderr
                if language == "JavaScript":
                    assert re.search(rf"version: {shown['version']}\b", done.stdout)
                else:
                    got = (json.loads if language == "curl" else ast.literal_eval)(done.stdout)
                    assert got.keys() == shown.keys()
                    assert (got["model"], got["version"]) == (shown["model"], shown["version"])


RUN = {
    "curl": ["sh", "-c"],
    "Python": [sys.executable, "-c"],
    "JavaScript": ["node", "--input-type=module", "-e"],
}


def test_the_curve_of_hours(browser: Browser, committed_server: httpx.Client) -> None:
    with tab(browser, committed_server, errors=True) as page:
        page.goto("/#pass")
        expect(page.locator(".curve polyline")).to_have_count(1)
        expect(page.locator(".curve")).to_contain_text(
            "Crosses 0.5 at 2.42 hours studied. Fitted on 1 to 3, shaded"
        )
        points = str(page.locator(".curve polyline").get_attribute("points")).split()
        xs, ys = np.array([[*map(float, point.split(","))] for point in points]).T
        level = float(str(page.locator(".threshold").get_attribute("y1")))
        crossing = page.locator(".crossing circle")
        at = np.interp(-level, -ys, xs)
        assert float(str(crossing.get_attribute("cx"))) == pytest.approx(at, abs=1)
        left, width = (float(str(page.locator(".fitted").get_attribute(name))) for name in ("x", "width"))
        per_hour = (xs[-1] - xs[0]) / 5
        assert ((left - xs[0]) / per_hour, width / per_hour) == pytest.approx((1, 2), abs=0.01)
        page.get_by_label("hours", exact=True).fill("2.4")
        expect(page.locator(".headline strong")).to_have_text("not passed")
        page.get_by_label("hours, slider").press("End")
        expect(page.get_by_label("hours", exact=True)).to_have_value("5")
        expect(page.locator(".headline strong")).to_have_text("passed")
        page.get_by_label("hours", exact=True).fill("-1")
        expect(page.locator(".fault")).to_contain_text("greater than or equal to 0")
