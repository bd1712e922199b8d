"""Lists and iterators of any length: in order, a few requests at a time, each input answered once."""

import json
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from abacus_client import (
    AbacusError,
    AsyncClient,
    Client,
    DigitPrediction,
    InputError,
    InvalidInput,
    Manifest,
    Prediction,
    ServiceError,
    UnsupportedMediaType,
)
from abacus_client.asking import PICTURES, ROWS
from abacus_client.connecting import NO_OPTIONS
from tests.client.conftest import SEVEN
from tests.client.relay import Relay, refusal
from tests.conftest import ROOT, wait_for

FOUR = SEVEN.parent / "4.png"
HOURS = [{"hours": float(hours)} for hours in range(2 * ROWS + 100)]


@pytest.fixture
def asking(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def hours_of(answers: list[Prediction]) -> list[float]:
    return [answer["hours"] for answer in answers]


def test_a_list_of_many_rows(relay: Relay) -> None:
    with Client(relay.address) as client:
        answers = client.predict("pass", HOURS)
    assert hours_of(answers) == [row["hours"] for row in HOURS]
    assert len(relay.heard) == 3
    assert b"".join(sorted(heard.body for heard in relay.heard)).count(b"hours") == len(HOURS)


def test_pictures_in_order(asking: Client) -> None:
    paths = [SEVEN, FOUR] * (PICTURES + 3)
    answers = asking.predict("digit", paths, result=DigitPrediction)
    assert [answer.digit for answer in answers] == [7, 4] * (PICTURES + 3)


def test_an_iterator_without_an_end(asking: Client) -> None:
    """So much of it is read as is under way."""
    taken = 0

    def hours() -> Iterator[dict[str, int]]:
        nonlocal taken
        for taken in count(1):
            yield {"hours": taken}

    answers = asking.predict("pass", hours(), batch=5)
    assert hours_of(list(islice(answers, 12))) == list(range(1, 13))
    assert taken <= 5 * (3 + asking._connecting.concurrency)
    answers.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.startswith("abacus-client"):
            thread.join(30)
            assert not thread.is_alive()


LISTED = """
import sys
from abacus_client import Client

Client(sys.argv[1], timeout=100).predict("pass", [{"hours": 1}] * 4, batch=1)
"""


def test_an_interrupted_program_waits_for_no_answer(relay: Relay) -> None:
    answered = threading.Event()

    def silent() -> Iterator[bytes]:
        answered.wait(100)
        yield b""

    relay.first.extend(silent() for _ in range(4))
    words = [sys.executable, "-c", LISTED, relay.address]
    environment = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as process:
        wait_for(lambda: len(relay.heard) == 4)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            answered.set()
    assert (process.returncode, errors.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")


def test_what_a_list_of_inputs_raises_itself_is_raised(asking: Client) -> None:
    class Broken:
        def model_dump(self) -> dict[str, float]:
            raise RuntimeError("not mine")

    with pytest.raises(RuntimeError, match="not mine"):
        asking.predict("pass", [Broken()])


def test_nothing_is_answered_by_nothing(asking: Client) -> None:
    assert asking.predict("digit", []) == []
    assert list(asking.predict("digit", iter([]))) == []
    assert asking.predict("pass", hours=[]) == []


def test_what_is_wrong_is_told_behind_the_answers_before_it(asking: Client, tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    answers = asking.predict("digit", iter([SEVEN] * 20 + [text] + [SEVEN] * 20))
    assert len(list(islice(answers, 20))) == 20
    with pytest.raises(UnsupportedMediaType) as refused:
        next(answers)
    assert refused.value.index == 20


def test_each_error_in_the_place_of_its_answer(relay: Relay, tmp_path: Path) -> None:
    """The others of a request that is refused are asked again, apart; what was answered is not."""
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    paths = [FOUR, *[SEVEN] * 6, text, SEVEN, "nowhere.png", SEVEN]
    with Client(relay.address) as client:
        answers = client.predict("digit", paths, return_errors=True, result=DigitPrediction)
    digits = [answer.digit if isinstance(answer, DigitPrediction) else type(answer) for answer in answers]
    assert digits == [4, *[7] * 6, UnsupportedMediaType, 7, InputError, 7]
    assert [answer.index for answer in answers if isinstance(answer, AbacusError)] == [7, 9]
    # Of nine that were sent together one is wrong: 9, 4 and 5, 2 and 3, 1 and 2, 1 and 1; and the last.
    assert len(relay.heard) == 10


def test_an_error_of_several_has_the_place_of_each(relay: Relay) -> None:
    relay.first.extend([refusal(500), refusal(500)])
    with Client(relay.address, concurrency=1) as client:
        answers = client.predict("pass", [{"hours": 1}] * 5, batch=2, return_errors=True)
    assert [answer.index for answer in answers[:4] if isinstance(answer, ServiceError)] == [0, 1, 2, 3]
    with pytest.raises(InvalidInput) as refused, Client(relay.address) as client:
        client.predict("pass", {"hours": -1})
    copied = pickle.loads(pickle.dumps(refused.value))
    assert (type(copied), copied.problem, copied.index) == (InvalidInput, refused.value.problem, None)


def test_rows_that_are_wrong(asking: Client) -> None:
    rows = [{"hours": 1}, {"hours": -1}, {"hours": "a"}, {"hours": 4}]
    answers = asking.predict("pass", rows, return_errors=True)
    assert [isinstance(answer, InvalidInput) for answer in answers] == [False, True, True, False]


def test_what_is_too_large_together_is_sent_apart(asking: Client) -> None:
    rows = [{"hours": 4} for _ in range(20)]
    padded = [SEVEN.read_bytes() + bytes(1024 * 1024) for _ in range(20)]
    assert len(asking.predict("pass", rows, batch=7)) == 20
    answers = asking.predict("digit", padded, result=DigitPrediction)
    assert [answer.digit for answer in answers] == [7] * 20


@pytest.mark.parametrize(
    ("columns", "text", "most"), [(300, "", 2 * 1024 * 1024), (2, 1000 * "x", 800_000)]
)
def test_rows_are_packed_to_what_the_service_takes(columns: int, text: str, most: int) -> None:
    names = [f"c{place}" for place in range(columns)]
    manifest = Manifest.model_validate(
        {
            "name": "wide",
            "version": 1,
            "kind": "table",
            "input": {"columns": [{"name": name} for name in names]},
            "output": {"kind": "numbers", "labels": ["total"]},
        }
    )
    question = NO_OPTIONS.question(manifest)
    count = 4 * most // len(json.dumps(dict.fromkeys(names, text)))
    batches = list(question.batches([[text] * columns] * count))
    sizes = [
        len(question.request(batch)["content"]) for batch in batches if not isinstance(batch, InputError)
    ]
    assert len(sizes) == len(batches) == 5
    assert 0.99 * most < min(sizes[:-1]) <= max(sizes) <= most


async def test_in_an_event_loop(address: str) -> None:
    async def paths() -> AsyncIterator[Path]:
        for _ in range(20):
            yield SEVEN
            yield FOUR

    async with AsyncClient(address) as client:
        digits = [
            answer.digit async for answer in await client.predict("digit", paths(), result=DigitPrediction)
        ]
        assert digits == [7, 4] * 20
        hours = await client.predict("pass", HOURS)
        assert hours_of(hours) == [row["hours"] for row in HOURS]
        first = [answer async for answer in await client.predict("pass", iter(HOURS), batch=200)]
        assert hours_of(first) == hours_of(hours)
        mixed = await client.predict("pass", [{"hours": 1}, {"hours": -1}], return_errors=True)
        assert [type(answer).__name__ for answer in mixed] == ["BinaryPrediction", "InvalidInput"]
        with pytest.raises(AbacusError) as refused:
            await client.predict("pass", [{"hours": 1}] * 3 + [{"hours": -1}])
        assert refused.value.index == 3
