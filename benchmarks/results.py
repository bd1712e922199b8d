"""What a run measured, as it is kept in JSON, and the medians that are made of it."""

import statistics
from collections.abc import Callable

from pydantic import BaseModel

from benchmarks.load import Load


class Measurement(BaseModel):
    """One server under one scenario in one round."""

    server: str
    scenario: str
    round: int
    load: Load
    rows: int
    cpu_seconds: float

    @property
    def cpu_s_per_1000(self) -> float:
        """Seconds of processor time for 1,000 requests, of the server's processes."""
        return 1000 * self.cpu_seconds / max(1, self.load.requests)


class Start(BaseModel):
    """One start of a server, and its memory after the first load; peaks are sums over its processes."""

    server: str
    round: int
    seconds_to_ready: float
    peak_memory_bytes: int
    proportional_memory_bytes: int


class BareLoop(BaseModel):
    what: str
    digits_per_s: float
    seconds_to_load: float
    peak_memory_bytes: int


class Results(BaseModel):
    """One run of the benchmark."""

    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, str]
    rounds: int
    seconds: int
    not_measured: dict[str, str] = {}
    measurements: list[Measurement] = []
    starts: list[Start] = []
    loops: list[BareLoop] = []

    def median(self, server: str, scenario: str, value: Callable[[Measurement], float]) -> float | None:
        """The median over rounds, or None where it was not measured."""
        values = [value(m) for m in self.of(server, scenario)]
        return statistics.median(values) if values else None

    def of(self, server: str, scenario: str) -> list[Measurement]:
        return [m for m in self.measurements if (m.server, m.scenario) == (server, scenario)]

    def per_second(self, server: str, scenario: str) -> float | None:
        return self.median(server, scenario, lambda m: m.load.per_second)

    def start(self, server: str, value: Callable[[Start], float]) -> float | None:
        """The median over starts of the server."""
        values = [value(s) for s in self.starts if s.server == server]
        return statistics.median(values) if values else None

    def loop(self, what: str, value: Callable[[BareLoop], float]) -> float | None:
        values = [value(loop) for loop in self.loops if loop.what == what]
        return statistics.median(values) if values else None
