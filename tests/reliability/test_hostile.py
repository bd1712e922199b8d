"""Hostile input by the thousand: always a 4xx in the contract's shape, never a 5xx, memory bounded."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import Phase, given
from hypothesis import strategies as st
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.app import create_app
from service.settings import Settings
from tests.conftest import Served, png, served
from tests.generated import steady
from tests.reliability.hostile import BOUNDARY, JSON, bodies, pictures
from tests.reliability.load import ask_all

Report = Callable[[str, str, str], None]

NEGATIVE = schemathesis.GenerationMode.NEGATIVE
MAX_GROWTH = 64 * 1024 * 1024
GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published)) as running:
        yield running


def broken(response: httpx.Response) -> str | None:
    """What is wrong with an answer, or None."""
    if response.status_code == 200:
        return None
    if not 400 <= response.status_code < 500:
        return f"status {response.status_code}"
    if response.headers["Content-Type"] != "application/problem+json":
        return f"type {response.headers['Content-Type']}"
    document = response.json()
    if document["status"] != response.status_code or not document["detail"] or not document["request_id"]:
        return f"document {document}"
    return None


def test_the_control_of_broken_answers() -> None:
    assert broken(httpx.Response(500)) == "status 500"
    assert broken(httpx.Response(404, text="Not Found"))
    assert broken(httpx.Response(200, json={})) is None


def memory(service: Served) -> int:
    return int(psutil.Process(service.process.pid).memory_full_info().uss)


def test_the_corpus(service: Served, figure: Report) -> None:
    client, post = service.client, service.client.post
    # What the largest picture that is accepted needs, on every thread, is there from now on.
    ask_all(client.base_url, 4, 8, lambda c, _: c.post("/predict/digit", files={"file": largest()}))
    before = memory(service)
    answers: list[tuple[str, httpx.Response]] = []
    for name, data in pictures():
        answers.append((name, post("/predict/digit", files={"file": data})))
        raw = post("/predict/digit", content=data, headers={"Content-Type": "image/png"})
        answers.append((f"{name}, raw", raw))
    for name, path, content_type, data in bodies():
        headers = {"Content-Type": content_type} if content_type else {}
        answers.append((name, post(path, content=data, headers=headers)))
        answers.append((f"{name}, said to be gzip", post(path, content=data, headers=headers | GZIP)))
    grown = memory(service) - before
    wrong = {name: why for name, response in answers if (why := broken(response))}
    seen = Counter(response.status_code for _, response in answers)
    figure(
        f"hostile corpus, {len(answers)} uploads",
        "0 × 5xx, 0 hangs, memory growth ≤ 64 MiB",
        f"{dict(sorted(seen.items()))}; memory {grown / 2**20:+.0f} MiB",
    )
    assert wrong == {}
    assert len(answers) >= 200
    assert grown <= MAX_GROWTH
    assert client.get("/health/ready").status_code == 200


def largest() -> bytes:
    return png(Image.linear_gradient("L").resize((5000, 5000)))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=10,
)
PAYLOADS = st.one_of(
    JSON_VALUES,
    st.fixed_dictionaries({"hours": JSON_VALUES}),
    st.fixed_dictionaries({"hours": st.lists(st.floats() | st.integers(), max_size=20)}),
)


def generated(cases: int) -> Any:
    return steady(max_examples=cases, phases=[Phase.generate])


def test_generated_payloads_and_uploads(service: Served, long: bool, figure: Report) -> None:
    cases = 20_000 if long else 500
    client, before = service.client, memory(service)
    whole = png(Image.effect_noise((28, 28), 60))
    places = st.integers(8, len(whole) - 1)
    seen: Counter[int] = Counter()

    def check(response: httpx.Response) -> None:
        seen[response.status_code] += 1
        assert broken(response) is None, response.text

    @generated(cases)  # type: ignore[untyped-decorator]
    @given(PAYLOADS)
    def payloads(payload: object) -> None:
        text = json.dumps(payload)  # NaN and Infinity included, which are no JSON
        check(client.post("/predict/pass", content=text, headers={"Content-Type": "application/json"}))

    @generated(cases)  # type: ignore[untyped-decorator]
    @given(PAYLOADS, st.sampled_from(("image", "images", "pixels", "photo")))
    def documents(payload: object, field: str) -> None:
        text = json.dumps({field: payload})
        check(client.post("/predict/digit", content=text, headers={"Content-Type": JSON}))

    @generated(cases)  # type: ignore[untyped-decorator]
    @given(st.binary(max_size=200), st.sampled_from((JSON, "image/png", BOUNDARY)))
    def noise(data: bytes, content_type: str) -> None:
        path = "/predict/pass" if "json" in content_type else "/predict/digit"
        check(client.post(path, content=data, headers={"Content-Type": content_type}))

    @generated(cases)  # type: ignore[untyped-decorator]
    @given(st.integers(8, len(whole)), st.lists(st.tuples(places, st.integers(0, 255))))
    def spoilt(length: int, changes: list[tuple[int, int]]) -> None:
        data = bytearray(whole)
        for at, value in changes:
            data[at] = value
        check(client.post("/predict/digit", files={"file": bytes(data[:length])}))

    payloads()
    documents()
    noise()
    spoilt()
    grown = memory(service) - before
    figure(
        f"{seen.total():,} generated payloads, bodies and spoilt pictures",
        "0 × 5xx, 0 hangs, memory growth ≤ 64 MiB",
        f"{dict(sorted(seen.items()))}; memory {grown / 2**20:+.0f} MiB",
    )
    assert grown <= MAX_GROWTH


def test_schemathesis(published: Path, long: bool, figure: Report) -> None:
    """Requests that the OpenAPI document allows, and such that it does not."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(Settings(artifacts=published)))
    cases, sent = 1_000 if long else 40, 0
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]

        @generated(cases)  # type: ignore[untyped-decorator]
        @given(operation.as_strategy() | operation.as_strategy(generation_mode=NEGATIVE))
        def call(case: Any) -> None:
            nonlocal sent
            sent += 1
            response = case.call()
            # No schema can say that a picture must have a digit on it.
            excluded = [positive_data_acceptance]
            if response.status_code == 504 and "X-Request-Timeout-Ms" in (case.headers or {}):
                excluded.append(not_a_server_error)  # it was asked for
            case.validate_response(response, excluded_checks=excluded)

        call()
    figure(f"schemathesis, {sent:,} cases", "every answer is as the OpenAPI document says", "all were")
    assert sent >= cases
