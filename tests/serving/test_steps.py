"""Work in steps: everyone has a turn in between, and no step is taken for one who has gone."""

import asyncio
from collections.abc import Callable

import pytest

from service.serving import steps
from service.serving.steps import Stepping, Steps, taken

TIMES = 50


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEPS_S", 1e-9)


def counting(name: str, note: Callable[[str], None], times: int = TIMES) -> Steps[str]:
    for _ in range(times):
        note(name)
        yield
    return name


async def test_others_have_a_turn_between_steps() -> None:
    turns: list[int] = []
    working = True

    async def other() -> None:
        turn = 0
        while working:
            turn += 1
            turns.append(turn)
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    seen: list[int] = []
    assert await Stepping().take(counting("long", lambda _: seen.append(len(turns)))) == "long"
    working = False
    await beside
    assert len(set(seen)) >= TIMES - 1


async def test_the_control_steps_that_are_taken_at_once_give_no_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "STEPS_S", 60)
    turns: list[str] = []
    beside = asyncio.create_task(asyncio.sleep(0))
    beside.add_done_callback(lambda _: turns.append("other"))
    await Stepping().take(counting("long", turns.append))
    assert "other" not in turns
    await beside


async def test_one_after_the_other() -> None:
    """32 that are begun at once would all end at the end."""
    taken_for: list[str] = []
    stepping = Stepping()
    works = [stepping.take(counting(name, taken_for.append, 3)) for name in "abc"]
    assert await asyncio.gather(*works) == ["a", "b", "c"]
    assert "".join(taken_for) == "aaabbbccc"


async def test_what_fails_and_who_goes_lets_the_next_one_in() -> None:
    def failing() -> Steps[str]:
        yield
        raise ValueError("no number")

    taken_for: list[str] = []
    stepping = Stepping()
    failed = asyncio.create_task(stepping.take(failing()))
    gone = asyncio.create_task(stepping.take(counting("gone", taken_for.append, 1_000_000)))
    last = asyncio.create_task(stepping.take(counting("last", taken_for.append)))
    with pytest.raises(ValueError, match="no number"):
        await failed
    while len(taken_for) < 10:
        await asyncio.sleep(0)
    gone.cancel()
    assert await last == "last"
    assert taken_for.count("gone") < 20


def test_all_at_once() -> None:
    noted: list[str] = []
    assert taken(counting("x", noted.append)) == "x"
    assert len(noted) == TIMES
