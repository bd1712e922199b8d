"""The page for tables and pictures of every kind, and each in every theme and on every screen."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.conftest import png, served
from tests.endpoints.tiny_models import publish_colours, publish_house, publish_iris, publish_loan
from tests.web.conftest import SCREENS, SHIFTS, tab

pytestmark = pytest.mark.page

TAKEN = """const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(bytes)], "", { type: "image/png" }));"""
GIVEN = (
    f"""bytes => {{ {TAKEN}
    const options = {{ dataTransfer: files, bubbles: true, cancelable: true }};
    document.querySelector("header").dispatchEvent(new DragEvent("drop", options)); }}""",
    f"""bytes => {{ {TAKEN}
    const options = {{ clipboardData: files, bubbles: true, cancelable: true }};
    document.body.dispatchEvent(new ClipboardEvent("paste", options)); }}""",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("store")
    for publish in (publish_colours, publish_house, publish_iris, publish_loan):
        publish(root)
    with served("--artifacts", str(root)) as service:
        yield service.client


@pytest.fixture
def page(browser: Browser, service: httpx.Client) -> Iterator[Page]:
    with tab(browser, service, errors=True) as page:
        yield page


def test_a_table_has_a_field_a_column_and_is_asked_as_it_changes(page: Page, service: httpx.Client) -> None:
    page.goto("/#loan")
    age, job, income = (page.get_by_label(name, exact=True) for name in ("age", "job", "income"))
    expect(page.get_by_text("years · 0 to 120 · trained on 18 to 70")).to_be_visible()
    expect(job.locator("option")).to_have_count(6)
    expect(page.get_by_label("income, slider")).to_have_count(0)  # nothing says where it ends
    age.fill("33")
    job.select_option(label="none, yet")
    income.fill("")
    page.get_by_label("town", exact=True).select_option(label="(not known)")
    row = {"age": 33, "job": "none, yet"}
    answer = service.post("/predict/loan", json=row).json()
    page.get_by_label("Language").select_option("curl")
    expect(page.get_by_label("The request as code")).to_contain_text(
        f"-d '{json.dumps(row, separators=(',', ':'))}'"
    )
    assert json.loads(page.get_by_label("The answer as JSON").inner_text())["probability"] == pytest.approx(
        answer["probability"], abs=1e-6
    )
    verdict = "repaid" if answer["repaid"] else "not repaid"
    expect(page.locator(".headline strong")).to_have_text(verdict)
    page.get_by_label("age, slider").fill("75")
    expect(age).to_have_value("75")
    expect(page.get_by_text("Outside of what the model was fitted to")).to_be_visible()
    age.fill("200")
    expect(page.locator(".fault")).to_contain_text("age: input should be less than or equal to 120")
    expect(page.get_by_text("No answer")).to_be_visible()
    age.fill("40")
    expect(page.locator(".fault")).to_be_empty()


def test_classes_have_bars_and_numbers_their_units(page: Page) -> None:
    page.goto("/#iris")
    expect(page.locator(".bars li")).to_have_count(3)
    expect(page.get_by_label("The answer as JSON")).to_contain_text("setosa")
    label = json.loads(page.get_by_label("The answer as JSON").inner_text())["label"]
    expect(page.locator(".bars .largest .name")).to_have_text(label)
    expect(page.locator(".curve polyline")).to_have_count(3)
    page.get_by_label("Curve by").select_option("petal_width")
    expect(page.locator(".curve svg")).to_have_attribute(
        "aria-label", re.compile("by petal_width: Fitted on 0.1 to 2.5")
    )
    page.goto("/#house")
    expect(page.locator(".headline")).to_contain_text("€")
    expect(page.locator(".curve polyline")).to_have_count(2)


def test_a_picture_is_dropped_or_pasted_as_well(page: Page) -> None:
    page.goto("/#colour")
    expect(page.get_by_text("Drop a picture here")).to_be_visible()
    for place, colour in enumerate(((250, 0, 0), (0, 250, 0))):
        picture = list(png(Image.new("RGB", (60, 40), colour)))
        page.evaluate(GIVEN[place], picture)
        label = ("red", "green")[place]
        expect(page.locator(".headline strong")).to_have_text(label)
        expect(page.locator(".bars .largest .name")).to_have_text(label)
        assert len(page.locator(".bars li").all()) == 3
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Nothing to look at yet")).to_be_visible()
    page.get_by_role("button", name="Example").click()
    expect(page.locator(".headline strong")).to_have_text(re.compile("red|green|blue"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("model", ["colour", "house", "iris", "loan"])
def test_axe_finds_nothing_and_nothing_shifts(
    browser: Browser, service: httpx.Client, model: str, theme: str, screen: str
) -> None:
    with tab(browser, service, color_scheme=theme, **SCREENS[screen]) as page:
        page.goto(f"/#{model}")
        if model == "colour":
            page.get_by_role("button", name="Example").click()
        expect(page.get_by_label("The answer as JSON")).to_contain_text(f'"model": "{model}"')
        assert page.evaluate(SHIFTS) == []
        assert [one["id"] for one in Axe().run(page).response["violations"]] == []
