"""The page while an answer is waited for, or does not come: what it shows is of what is there."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.conftest import COMMITTED, Digits
from tests.web.test_drawing import chosen, draw, finished
from tests.web.test_numbers import number, read_as

SAMPLES = sorted(COMMITTED.glob("digit/*/samples"))[-1]
PREDICT = "**/predict/**"
LATE = {"title": "Deadline exceeded", "detail": "The time was over.", "status": 504}

ONE = {
    "model": "digit",
    "version": 1,
    "digit": 1,
    "confidence": 0.9,
    "probabilities": [0.1, 0.9, *[0.0] * 8],
    "out_of_distribution": False,
}


def headline(page: Page) -> Locator:
    return page.locator(".headline")


def held(page: Page) -> list[Route]:
    """Requests of a service that takes its time, as they come."""
    routes: list[Route] = []
    page.route(PREDICT, lambda route: routes.append(route))
    return routes


def choose(page: Page, digit: int) -> None:
    chosen(page, f"{digit}.png", (SAMPLES / f"{digit}.png").read_bytes())


def choose_and_wait(page: Page, digit: int) -> None:
    with page.expect_request(PREDICT):
        choose(page, digit)


def failing(page: Page, which: str, how: Callable[[Route], None]) -> None:
    page.route(PREDICT, lambda route: how(route) if which in route.request.url else route.continue_())


def late(route: Route) -> None:
    route.fulfill(status=504, content_type="application/problem+json", body=json.dumps(LATE))


def test_a_new_picture_is_without_the_answer_to_the_last(page: Page) -> None:
    choose(page, 1)
    expect(headline(page)).to_contain_text("sure")
    expect(page.get_by_text("Read as light ink on dark")).to_be_visible()
    held(page)
    choose_and_wait(page, 5)
    expect(headline(page)).to_have_text("–Reading…")
    expect(page.locator(".said")).to_have_attribute("aria-busy", "true")
    expect(page.locator(".bars .value")).to_have_text(["–"] * 10)


def test_a_late_answer_is_not_shown_with_another_picture(page: Page) -> None:
    routes = held(page)
    choose_and_wait(page, 1)
    with page.expect_request(PREDICT):  # the first is given up: it need not end before
        choose(page, 2)
        expect(headline(page)).to_have_text("–Reading…")
    routes.pop().continue_()
    expect(headline(page).locator("strong")).to_have_text("2")


def test_an_answer_stays_where_what_follows_it_fails(page: Page, digits: Digits) -> None:
    failing(page, "explain", late)
    choose(page, 6)
    expect(page.locator(".fault")).to_have_text("What the model saw did not come: The time was over.")
    expect(headline(page).locator("strong")).to_have_text("6")
    expect(page.get_by_label("The answer as JSON")).to_contain_text('"digit": 6')
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Read as light ink on dark")).to_be_visible()
    expect(page.locator(".fault")).to_be_empty()
    failing(page, "each", late)
    chosen(page, "number.png", number(digits))
    expect(page.locator(".fault")).to_contain_text("digit by digit, did not come: The time was over.")
    expect(headline(page)).to_contain_text("These look like several digits")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    read_as(page, "504")


def test_so_does_that_of_a_table_without_its_curve(page: Page) -> None:
    page.route(
        PREDICT, lambda route: late(route) if "[" in str(route.request.post_data) else route.continue_()
    )
    page.goto("/#pass")
    expect(page.locator(".fault")).to_have_text("The curve did not come: The time was over.")
    expect(headline(page)).to_contain_text("probability of passed")


def test_a_row_that_is_waited_for_is_told_from_the_one_before(page: Page) -> None:
    page.goto("/#pass")
    expect(page.locator(".curve polyline")).to_have_count(1)
    routes = held(page)
    with page.expect_request(PREDICT):
        page.get_by_label("hours", exact=True).fill("0.1")
    expect(headline(page)).to_have_css("opacity", "0.4")
    routes.pop().continue_()
    expect(headline(page)).to_contain_text("not passed")
    expect(headline(page)).to_have_css("opacity", "1")


def test_nothing_of_the_last_drawing_stays_where_its_own_does_not_come(page: Page) -> None:
    draw(page, [[(4, 6), (4, 22)]])
    finished(page)
    failing(page, "explain", late)
    draw(page, [[(4, 3), (4, 6)]])
    expect(page.locator(".fault")).to_contain_text("What the model saw did not come")
    expect(page.locator(".seen p")).to_be_empty()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    finished(page)
    expect(page.get_by_label("Answer", exact=True)).to_be_focused()  # the button is no more
    failing(page, "each", lambda _: None)
    draw(page, [[(23, 6), (23, 22)]])
    expect(headline(page)).to_contain_text("These look like several digits")
    expect(page.locator(".seen p")).to_be_empty()


def test_what_comes_late_of_a_drawing_is_not_shown_beside_another(page: Page) -> None:
    explained: list[Route] = []

    def answer(route: Route) -> None:
        if "explain" in route.request.url:
            explained.append(route)
        else:
            route.fulfill(json=ONE)

    page.route(PREDICT, answer)
    sheet = page.get_by_label("Draw a digit")
    for key in ("Space", "Space"):
        sheet.press(key)
    while not explained:
        page.wait_for_timeout(10)
    held(page)
    sheet.press("Space")
    with page.expect_request(lambda request: request.url.endswith("/digit")):
        late(explained.pop())
    expect(page.locator(".fault")).to_be_empty()


def test_another_answer_or_none_is_without_the_names_of_the_last(page: Page) -> None:
    page.goto("/#object")
    names = page.locator(".bars .name")
    expect(names).to_have_text(["· · ·"] * 5)
    page.get_by_role("button", name="Example").click()
    expect(names.first).to_have_attribute("title", re.compile("."))
    failing(page, "object", late)
    page.get_by_role("button", name="Example").click()
    expect(names).to_have_text(["· · ·"] * 5)
    expect(page.locator(".bars [title]")).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="Choose picture")).to_be_focused()


def test_what_failed_for_the_moment_is_asked_again_with_a_button(page: Page) -> None:
    page.route(PREDICT, lambda route: route.abort("connectionrefused"))
    choose(page, 6)
    expect(page.locator(".fault")).to_contain_text("The service does not answer.")
    expect(page.get_by_label("The request as code")).to_contain_text("@6.png")
    expect(page.get_by_text("Not answered")).to_be_visible()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_label("The answer as JSON")).to_contain_text('"probabilities"')
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_what_cannot_be_otherwise_has_no_such_button(page: Page) -> None:
    chosen(page, "words.txt", b"no picture")
    expect(page.locator(".fault")).to_contain_text("The file is text")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


@pytest.mark.parametrize("status", [200, 502])
def test_another_page_in_the_place_of_an_answer_is_told_in_words(page: Page, status: int) -> None:
    """As of a network that wants a sign-in first, or of a proxy."""
    words = {200: "What answers here is not this service", 502: "answered 502 Bad Gateway."}[status]

    def elsewhere(route: Route) -> None:
        route.fulfill(status=status, content_type="text/html", body="<p>Sign in")

    page.route(PREDICT, elsewhere)
    choose(page, 6)
    expect(page.locator(".fault")).to_contain_text(words)
    page.route(
        "**/models", lambda route: route.fulfill(status=status, content_type="text/html", body="<p>")
    )
    page.reload()
    expect(page.locator("#fault")).to_contain_text(words)
    again = page.locator("#fault").get_by_role("button", name="Try again")
    with page.expect_response("**/models"):
        again.press("Enter")
    expect(again).to_be_focused()
    page.unroute_all()
    again.press("Enter")
    expect(page.get_by_label("Draw a digit")).to_be_visible()
    expect(page.locator("#panel")).to_be_focused()


def test_what_is_no_number_is_called_so(page: Page) -> None:
    page.goto("/#pass")
    hours = page.get_by_label("hours", exact=True)
    for words in ("--", "1e400"):
        hours.fill("")
        expect(page.locator(".fault")).to_contain_text("field required")
        hours.press_sequentially(words)
        expect(page.locator(".fault")).to_contain_text("hours: input should be a valid number")


@pytest.mark.parametrize("name", ["nosuch", "100%", "%E0%A4%A"])
def test_an_address_that_names_no_model_is_told_so(page: Page, name: str) -> None:
    page.goto(f"/#{name}")
    expect(page.get_by_text("This service has no such model: choose one above.")).to_be_visible()
    page.get_by_role("link", name="digit").click()
    expect(page.get_by_label("Draw a digit")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("no such model")).to_be_visible()
