"""Clients take turns, whatever each has waiting."""

from service.decoding.turns import Turns


def order(*waiting: tuple[str, int]) -> list[tuple[str, int]]:
    turns: Turns[tuple[str, int]] = Turns()
    for item in waiting:
        turns.add(item[0], item)
    taken: list[tuple[str, int]] = []
    while turns:
        assert len(turns) == len(waiting) - len(taken)
        first = turns.first()
        taken.append(turns.take())
        assert first == taken[-1]
    return taken


def test_clients_take_turns() -> None:
    waiting = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 0)]
    assert order(*waiting) == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("a", 2)]


def test_a_client_alone_is_served_in_its_order() -> None:
    assert order(*[("a", number) for number in range(5)]) == [("a", number) for number in range(5)]


def test_what_was_discarded_is_not_taken() -> None:
    turns: Turns[int] = Turns()
    turns.add("a", 1)
    turns.add("a", 2)
    turns.discard("a", 1)
    turns.discard("b", 1)
    assert turns.take() == 2
    assert not turns
    turns.add("a", 3)
    turns.discard("a", 3)
    assert not turns
