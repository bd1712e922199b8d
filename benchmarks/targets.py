"""What the service sets itself as ratios within one run, and whether it reached it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from benchmarks.results import Measurement, Results
from benchmarks.scenarios import (
    ALONE,
    BATCH,
    DIGITS_PER_BATCH,
    HEADLINE,
    HEADLINE_64,
    HEADLINE_CNN,
    HEADLINE_CNN_64,
    PASS,
    RAW,
    RPC,
    TENSOR,
    TENSORS,
    THOUSAND,
)
from benchmarks.servers import CONSTANT, DEF, EMPTY, OURSELVES, SERVERS, WITH_RPC

TWO_WORKERS = f"{OURSELVES}, two workers"


class Target(NamedTuple):
    """`measured` is None where the run did not measure what it takes."""

    what: str
    at_least: float | None
    at_most: float | None
    measured: float | None
    against: str = ""

    @property
    def bar(self) -> str:
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        low = self.at_least is None or self.measured >= self.at_least
        high = self.at_most is None or self.measured <= self.at_most
        return "yes" if low and high else "**no**"


def best_peer(value: Callable[[str], float | None], highest: bool = True) -> tuple[str, float] | None:
    """The peer, plain FastAPI among them, with the best value."""
    found = {s.title: v for s in SERVERS if s.is_peer and (v := value(s.title)) is not None}
    if not found:
        return None
    name = (max if highest else min)(found, key=lambda title: found[title])
    return name, found[name]


def targets(r: Results) -> Iterator[Target]:
    """Every target of the service, in the order of the report."""
    over_peers = ((HEADLINE_CNN, 3.5), (HEADLINE_CNN_64, 3.5), (HEADLINE, 2.2), (HEADLINE_64, 2.2))
    for scenario, bar in over_peers:
        best = best_peer(partial(r.per_second, scenario=scenario.name))
        ours = r.per_second(OURSELVES, scenario.name)
        against = best[0] if best else ""
        yield Target(
            f"requests/s: {scenario.name}, over the best peer", bar, None, _ratio(ours, best), against
        )
    for scenario in (HEADLINE, HEADLINE_64):
        least = best_peer(partial(r.median, scenario=scenario.name, value=_cpu), highest=False)
        used = r.median(OURSELVES, scenario.name, _cpu)
        against = least[0] if least else ""
        yield Target(
            f"processor time a request: {scenario.name}, over the least peer's",
            None,
            0.45,
            _ratio(used, least),
            against,
        )
    ours = r.per_second(OURSELVES, HEADLINE.name)
    empty = r.per_second(EMPTY, HEADLINE.name)
    yield Target("the same over FastAPI's empty upload endpoint", 1.35, None, _ratio(ours, empty))
    yield Target("raw PNG body over multipart", 1.15, None, _ratio(r.per_second(OURSELVES, RAW.name), ours))
    tensors = r.per_second(OURSELVES, TENSOR.name), r.per_second(OURSELVES, TENSORS.name)
    yield Target("/v2, a binary tensor over multipart", 0.9, None, _ratio(tensors[0], ours))
    yield Target(
        "/v2, a binary tensor of 64 over multipart of 64",
        1.2,
        None,
        _ratio(tensors[1], r.per_second(OURSELVES, BATCH.name)),
    )
    for peer in ("MLServer (best)", "KServe (best)"):
        calls = r.per_second(WITH_RPC, RPC.name), r.per_second(peer, RPC.name)
        yield Target(f"gRPC: digit, 16 clients, over {peer}", 3, None, _ratio(*calls))
    passes = r.per_second(OURSELVES, PASS.name), r.per_second(DEF, PASS.name)
    yield Target("one hour a request, over FastAPI's def", 3, None, _ratio(*passes))
    batches = r.per_second(OURSELVES, BATCH.name)
    digits = batches * DIGITS_PER_BATCH if batches else None
    yield Target("digits/s: 64 a request over one a request", 3, None, _ratio(digits, ours))
    bare = r.loop("decode-and-infer", lambda loop: loop.digits_per_s)
    yield Target("digits/s: 64 a request over a bare loop on one thread", 0.8, None, _ratio(digits, bare))
    quickest = best_peer(lambda t: r.median(t, ALONE.name, p50), highest=False)
    alone = r.median(OURSELVES, ALONE.name, p50)
    against = quickest[0] if quickest else ""
    yield Target(
        "1 client: median latency over the best peer's", None, 0.6, _ratio(alone, quickest), against
    )
    tail = r.median(OURSELVES, HEADLINE.name, lambda m: m.load.p99_ms / m.load.p50_ms)
    yield Target("16 clients, from the first request: p99 over p50", None, 2.5, tail)
    thousand = r.of(OURSELVES, THOUSAND.name)
    errors = float(sum(m.load.errors for m in thousand)) if thousand else None
    yield Target("1,000 clients: errors", None, 0, errors)
    two = r.per_second(TWO_WORKERS, HEADLINE_64.name)
    one = r.per_second(OURSELVES, HEADLINE_64.name)
    yield Target("two workers over one, 64 clients", 1.3, None, _ratio(two, one))
    peaks = (
        r.start(OURSELVES, lambda s: s.peak_memory_bytes),
        r.loop("load", lambda loop: loop.peak_memory_bytes),
    )
    yield Target("peak memory over a bare process", None, 1.3, _ratio(*peaks))
    ready = (
        r.start(OURSELVES, lambda s: s.seconds_to_ready),
        r.loop("load", lambda loop: loop.seconds_to_load),
    )
    yield Target("seconds to ready over a bare process", None, 1.4, _ratio(*ready))
    constant = r.per_second(CONSTANT, HEADLINE.name)
    yield Target(
        "moonshot: requests/s over uvicorn answering a constant", 1 / 3, None, _ratio(ours, constant)
    )


def _ratio(ours: float | None, theirs: float | tuple[str, float] | None) -> float | None:
    other = theirs[1] if isinstance(theirs, tuple) else theirs
    return ours / other if ours is not None and other else None


def p50(measurement: Measurement) -> float:
    return measurement.load.p50_ms


def _cpu(measurement: Measurement) -> float:
    return measurement.cpu_s_per_1000
