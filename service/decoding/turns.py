"""Who is next: what waits is taken in turn over clients, so that none can crowd out the others."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """What waits, by client; a client's own in the order in which it came."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[T, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def first(self) -> T:
        """What `take` would return."""
        return next(iter(next(iter(self._waiting.values()))))

    def add(self, client: str, item: T) -> None:
        self._waiting.setdefault(client, {})[item] = None

    def take(self) -> T:
        """The first of the client whose turn it is; then it is the turn of all others first."""
        client = next(iter(self._waiting))
        items = self._waiting.pop(client)
        item = next(iter(items))
        del items[item]
        if items:
            self._waiting[client] = items
        return item

    def discard(self, client: str, item: T) -> None:
        """Forget what waits no longer."""
        items = self._waiting.get(client, {})
        items.pop(item, None)
        if not items:
            self._waiting.pop(client, None)
