"""The page where the service asks for a key, or has gone away."""

import json
import shutil
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from service.http.keys import add_key
from tests.conftest import COMMITTED, Served, served
from tests.web.conftest import tab


class Guarded(NamedTuple):
    service: Served
    key: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One of the models that come with the service, behind a key."""
    root = tmp_path_factory.mktemp("store")
    shutil.copytree(COMMITTED / "pass", root / "pass")
    file = tmp_path_factory.mktemp("keys") / "keys"
    key = add_key(file, "laboratory")
    with served("--artifacts", str(root), "--api-keys-file", str(file)) as service:
        yield Guarded(service, key)


@pytest.fixture
def page(browser: Browser, guarded: Guarded) -> Iterator[Page]:
    """With the key in it."""
    with tab(browser, guarded.service.client, errors=True) as page:
        page.add_init_script(f"sessionStorage.setItem('abacus-key', {json.dumps(guarded.key)})")
        yield page


def test_a_key_is_asked_for_told_to_be_wrong_and_kept_in_the_tab(
    browser: Browser, guarded: Guarded
) -> None:
    with tab(browser, guarded.service.client, errors=True) as page:
        page.goto("/")
        expect(page.get_by_role("alert")).to_have_text("This service asks for an API key.")
        field = page.get_by_label("Sent with every request")
        expect(field).to_be_focused()
        field.fill("“copied from a text”")
        field.press("Enter")
        expect(page.get_by_role("alert").first).to_contain_text("This key cannot be sent")
        field.fill("wrong")
        field.press("Enter")
        expect(page.get_by_role("alert").first).to_have_text("This key is not known here.")
        field.fill(guarded.key)
        field.press("Enter")
        expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["pass"])
        expect(page.get_by_label("The answer as JSON")).to_contain_text('"passed"')
        for language in ("curl", "Python", "JavaScript"):
            page.get_by_label("Language").select_option(language)
            code = page.get_by_label("The request as code")
            expect(code).to_contain_text("ABACUS_KEY")
            assert guarded.key not in code.inner_text()
        assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
        page.reload()
        expect(page.get_by_label("The answer as JSON")).to_contain_text('"passed"')


def test_a_service_that_is_gone_is_told_in_words(page: Page, guarded: Guarded) -> None:
    """Last in this file, for it does not come back."""
    page.goto("/")
    expect(page.get_by_label("The answer as JSON")).to_contain_text('"passed"')
    guarded.service.process.terminate()
    guarded.service.process.wait(timeout=120)
    page.get_by_label("hours", exact=True).fill("31")
    expect(page.locator(".fault")).to_contain_text("The service does not answer.")
    expect(page.get_by_text("No answer")).to_be_visible()
