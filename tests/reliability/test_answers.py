"""Some of it bad, and all at once: exactly those fail that have to, and every answer is one's own."""

import math
from collections.abc import Callable

import httpx

from tests.conftest import Digits, png
from tests.reliability.load import ask_all

Report = Callable[[str, str, str], None]


def test_one_bad_picture_in_ten(
    committed_server: httpx.Client, digits: Digits, long: bool, figure: Report
) -> None:
    requests = 3000 if long else 600
    good = [png(image_u8) for image_u8 in digits.images_u8[:50]]
    bad = [good[0][:60], b"no picture", png(digits.images_u8[0] * 0), good[1][:-30] + b"spoilt" * 5]

    def ask(client: httpx.Client, number: int) -> int:
        picture = bad[number % 4] if number % 10 == 9 else good[number % 50]
        return client.post("/predict/digit", files={"file": picture}).status_code

    answers = ask_all(committed_server.base_url, 60, requests, ask)
    failed = sum(status != 200 for number, status in enumerate(answers) if number % 10 != 9)
    caught = sum(status in (415, 422) for number, status in enumerate(answers) if number % 10 == 9)
    figure(
        f"one bad picture in ten, 60 clients, {requests:,} requests",
        "0 good ones fail",
        f"{failed} good ones failed; {caught} of {requests // 10} bad ones were refused",
    )
    assert failed == 0
    assert caught == requests // 10  # the control: the bad ones do fail


def test_answers_that_identify_their_client(
    committed_server: httpx.Client, long: bool, figure: Report
) -> None:
    clients, requests = 64, 100_000 if long else 4_000
    training = committed_server.get("/models/pass").json()["manifest"]["training"]["hyperparameters"]

    def expected(hours: float) -> float:
        return 1 / (1 + math.exp(-(training["w"] * hours + training["b"])))

    def ask(client: httpx.Client, number: int) -> bool:
        hours = 5 * number / requests
        answer = client.post("/predict/pass", json={"hours": hours}).json()
        return bool(answer["hours"] == hours and abs(answer["probability"] - expected(hours)) < 1e-6)

    right = ask_all(committed_server.base_url, clients, requests, ask)
    figure(
        f"{requests:,} answers that identify their client, {clients} clients",
        "0 crossed",
        f"{requests - sum(right)} crossed",
    )
    assert all(right)
    # The control: the answer to the neighbouring request is told from one's own.
    assert abs(expected(5 / requests) - expected(0)) > 1e-6
