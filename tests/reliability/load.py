"""Clients: many at once, each over connections of its own."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import httpx
import numpy as np

Ask = Callable[[httpx.Client, int], Any]


def ask_all(url: httpx.URL | str, clients: int, requests: int, ask: Ask) -> list[Any]:
    """`ask(client, number)` for 0 … requests - 1, by so many clients at once; the results in order."""

    def one(first: int) -> list[Any]:
        # Without TLS there is nothing to verify, and reading the certificates takes longer than a request.
        with httpx.Client(base_url=url, timeout=120, verify=False) as client:
            return [ask(client, number) for number in range(first, requests, clients)]

    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(one, range(clients)))
    return [parts[number % clients][number // clients] for number in range(requests)]


class Stream:
    """What clients saw while they kept asking: (start, seconds, result) of each client in its order."""

    def __init__(self) -> None:
        self.seen: list[list[tuple[float, float, Any]]] = []

    def results(self) -> list[Any]:
        return [result for client in self.seen for _, _, result in client]

    def p99_s(self, between: Callable[[float], bool]) -> float:
        seconds = [s for client in self.seen for started, s, _ in client if between(started)]
        return float(np.quantile(seconds, 0.99))


@contextmanager
def asking(url: httpx.URL | str, clients: int, ask: Ask) -> Iterator[Stream]:
    """Clients that ask without a pause until the block ends."""
    stop, stream = Event(), Stream()

    def one(number: int) -> list[tuple[float, float, Any]]:
        seen = []
        with httpx.Client(base_url=url, timeout=120, verify=False) as client:
            while not stop.is_set():
                started = time.monotonic()
                result = ask(client, number)
                seen.append((started, time.monotonic() - started, result))
        return seen

    with ThreadPoolExecutor(clients) as pool:
        parts = [pool.submit(one, number) for number in range(clients)]
        try:
            yield stream
        finally:
            stop.set()
            stream.seen = [part.result() for part in parts]


def whole_request(picture: bytes, *headers: bytes) -> bytes:
    """`POST /predict/digit` with head and body in one piece."""
    head = [
        b"POST /predict/digit HTTP/1.1",
        b"Host: x",
        b"Content-Type: image/png",
        b"Content-Length: %d" % len(picture),
        *headers,
    ]
    return b"\r\n".join([*head, b"", picture])


def statuses(responses: list[httpx.Response]) -> dict[int, int]:
    return dict(Counter(response.status_code for response in responses))
