"""What is done already, by what it is known by."""

from bisect import bisect_left, bisect_right


class Done:
    """Keys, and which of them have failed."""

    def __init__(self) -> None:
        self._keys, self._failed = Keys(), Keys()

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str, failed: bool = False) -> None:
        self._keys.add(key)
        if failed:
            self._failed.add(key)

    def has_failed(self, key: str) -> bool:
        return key in self._failed


class Keys:
    """A set of texts. Numbers, by which rows are known, are held in runs: all up to one are one run."""

    def __init__(self) -> None:
        self._names = set[str]()
        self._edges = list[int]()  # each first number of a run, and the first behind it

    def __contains__(self, key: str) -> bool:
        number = _number(key)
        return key in self._names if number is None else self._has(number)

    def add(self, key: str) -> None:
        number = _number(key)
        if number is None:
            self._names.add(key)
        elif self._edges and number == self._edges[-1]:  # quicker, and most often so
            self._edges[-1] += 1
        elif not self._has(number):
            for edge in (number, number + 1):
                self._turn(edge)

    def _has(self, number: int) -> bool:
        return bisect_right(self._edges, number) % 2 == 1

    def _turn(self, edge: int) -> None:
        """Where a run ended or began, none does any longer; else one does."""
        at = bisect_left(self._edges, edge)
        if self._edges[at : at + 1] == [edge]:
            del self._edges[at]
        else:
            self._edges.insert(at, edge)


def _number(key: str) -> int | None:
    """None where it is written otherwise than the number is, such as 007."""
    return int(key) if len(key) < 19 and key.isascii() and key.isdecimal() and (key[0] != "0") else None
