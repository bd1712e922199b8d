"""Tables on the page whose answers the test gives: what is asked of a row, and what of its curve stays."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.web.conftest import tab
from tests.web.test_waiting import LATE

Row = dict[str, Any]

FREE: Row = {"units": "", "dtype": "float32", "categories": [], "optional": False}
BOUNDS = ("minimum", "maximum", "training_minimum", "training_maximum")


def column(name: str, *bounds: float) -> Row:
    return FREE | {"name": name} | dict(zip(BOUNDS, bounds, strict=True))


# A sum of 120 parts of the first goes beyond its end; of the second, numbers have more than six digits.
COLUMNS = (column("width", 0.3, 0.9, 0.4, 0.8), column("length", 1234561, 1234567.75, 1234562, 1234566))
EXAMPLE = [0.5678901, 1234565.5]


class Table:
    """A service with one table; `rows` has the bodies that it was asked, `paths` where."""

    def __init__(self, page: Page, model: Row) -> None:
        self.page = page
        self.rows: list[Row] = []
        self.paths: list[str] = []
        self.version = 1
        self.refused: Callable[[Row], bool] = lambda _: False
        self.held: Callable[[Row], bool] = lambda _: False
        self.waiting: list[Route] = []
        data = base64.b64encode(np.array(EXAMPLE, "<f4").tobytes()).decode()
        check = {"inputs": {"dtype": "float32", "shape": [1, len(EXAMPLE)], "data": data}}
        manifest = model["manifest"] | {"check": check}
        manifest["input"] = manifest["input"] | {"columns": list(COLUMNS)}
        models = {"models": [model | {"manifest": manifest}]}
        page.route("**/models", lambda route: route.fulfill(json=models))
        page.route("**/predict/**", self._answer)
        page.goto("/#pass")

    def _answer(self, route: Route) -> None:
        row = json.loads(str(route.request.post_data))
        self.rows.append(row)
        self.paths.append(route.request.url.partition("/predict/")[2])
        if self.held(row):
            self.waiting.append(route)
        else:
            self.answer(route, row)

    def answer(self, route: Route, row: Row) -> None:
        if self.refused(row):
            route.fulfill(status=504, content_type="application/problem+json", body=json.dumps(LATE))
            return
        named = {"model": "pass", "version": self.version}
        one = {"probability": 0.25, "passed": False, "extrapolating": False}
        count = next((len(value) for value in row.values() if isinstance(value, list)), 0)
        route.fulfill(json=named | ({"predictions": [one] * count} if count else one))

    def let_go(self) -> None:
        """What is held is answered, when it has come."""
        while not self.waiting:
            self.page.wait_for_timeout(10)
        for route in self.waiting:
            self.answer(route, json.loads(str(route.request.post_data)))
        self.waiting.clear()

    def choose(self, name: str) -> None:
        self.page.get_by_label("Curve by").select_option(name)

    def pick(self, share: float) -> None:
        """At a share of the way from the curve's left end to its right."""
        box = self.curve.bounding_box()
        assert box
        left, right = box["x"] + 44, box["x"] + box["width"] - 14
        self.page.mouse.click(left + share * (right - left), box["y"] + 100)

    @property
    def curve(self) -> Locator:
        return self.page.locator(".curve svg")

    @property
    def lines(self) -> Locator:
        return self.page.locator(".curve polyline")


def is_curve(row: Row) -> bool:
    return any(isinstance(value, list) for value in row.values())


@pytest.fixture
def table(browser: Browser, committed_server: httpx.Client) -> Iterator[Table]:
    (model,) = [one for one in committed_server.get("/models").json()["models"] if one["name"] == "pass"]
    with tab(browser, committed_server, errors=True) as page:
        table = Table(page, model)
        expect(table.lines).to_have_count(1)
        yield table


def test_an_example_is_asked_as_it_is_and_a_curve_to_its_very_end(table: Table) -> None:
    row, curve = table.rows
    assert [np.float32(value) for value in row.values()] == [np.float32(value) for value in EXAMPLE]
    xs = np.array(curve["width"])
    assert (xs[0], xs[-1]) == (0.3, 0.9)
    assert (np.diff(xs) > 0).all()
    assert curve["length"] == [1234565.5] * len(xs)


def test_what_is_slid_to_or_picked_on_a_curve_is_within_the_bounds(table: Table) -> None:
    field, slider = (table.page.get_by_label(name, exact=True) for name in ("length", "length, slider"))
    slider.evaluate("slider => slider.step = 'any'")
    slider.press("End")
    expect(field).to_have_value("1234567.75")
    table.choose("length")
    expect(table.lines).to_have_count(1)
    table.pick(0.5)
    assert 1234564 < float(field.input_value()) < 1234565
    table.pick(1)
    expect(field).to_have_value("1234567.75")


def test_a_curve_goes_with_the_column_that_it_was_of(table: Table) -> None:
    width, length = (table.page.get_by_label(name, exact=True) for name in ("width", "length"))
    table.refused = lambda _: True
    table.choose("length")
    expect(table.page.locator(".fault")).to_have_text("The time was over.")
    expect(table.curve).to_have_attribute("aria-label", "No curve yet")
    expect(table.lines).to_have_count(0)
    table.pick(0.5)
    assert (float(width.input_value()), length.input_value()) == (EXAMPLE[0], str(EXAMPLE[1]))
    table.refused = lambda _: False
    table.page.get_by_role("button", name="Try again").click()
    expect(table.curve).to_have_attribute("aria-label", re.compile("by length: Fitted"))
    expect(table.page.get_by_label("Answer", exact=True)).to_be_focused()  # where the button is no more


def test_a_curve_that_comes_late_is_not_shown_of_another_column_or_row(table: Table) -> None:
    table.held = is_curve
    with table.page.expect_request("**/versions/1"):
        table.page.get_by_label("length", exact=True).fill("1234563")
    table.choose("length")
    table.held = lambda _: True
    with table.page.expect_request(lambda request: request.url.endswith("/predict/pass")):
        table.let_go()
    expect(table.page.locator(".said")).to_have_attribute("aria-busy", "true")
    expect(table.lines).to_have_count(0)
    expect(table.page.locator(".fault")).to_be_empty()


def test_a_curve_is_of_the_version_that_answered(table: Table) -> None:
    width = table.page.get_by_label("width", exact=True)
    width.fill("0.5")
    expect(table.page.get_by_label("The request as code")).to_contain_text('"width":0.5')
    table.version = 2
    with table.page.expect_response("**/versions/2"):
        width.fill("0.6")
    assert table.paths == ["pass", "pass/versions/1", "pass", "pass", "pass/versions/2"]
    table.version, table.refused = 3, is_curve
    width.fill("0.7")
    expect(table.page.locator(".fault")).to_have_text("The curve did not come: The time was over.")
    expect(table.lines).to_have_count(0)
