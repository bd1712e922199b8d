"""The page that is made of one run's results, with its chart."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.chart import by_speed, draw
from benchmarks.results import Measurement, Results
from benchmarks.scenarios import BY_CNN, BY_MLP, HEADLINE, OURS, RPC, RPCS, Scenario
from benchmarks.servers import OURSELVES, SERVERS, WITH_RPC
from benchmarks.targets import p50, targets

HEAD = """# How fast it is

*Written by `make bench`; do not edit by hand.*

![Requests per second: the default model, and beside it softmax-mlp](images/benchmarks.png)

*Left the model that `make serve` serves (`cnn`), right `softmax-mlp`, for which HTTP is most of the work.
Defaults, two workers and the empty endpoint were measured with the right one alone.*

All figures are medians over {rounds} rounds of {seconds} s, one server at a time, each started anew
for every round, with the load generator (wrk, one thread) on the same {processors} processors. Requests
are a 28×28 PNG of MNIST as multipart/form-data unless said otherwise; every server loads the very same
published checkpoint, decodes with Pillow and answers the same ten probabilities, which is checked to
1e-5 in every round (if Abacus takes the archive's int8 form: to the tolerance that the archive states).
`softmax-mlp` is 784-512-256-128-64-10; `cnn` is the default model. Absolute
figures are of one machine, which is shared and noisy: compare ratios.
"""

HOW = """## How it was measured

- `make bench` builds an environment for every peer from `benchmarks/requirements/` with the project's
  interpreter. torch, Pillow and NumPy are the project's own in all of them, so that all run the same
  kernels.
- No server is warmed up: the first load starts as soon as it says that it is ready.
- Processor seconds and peak memory are those of the server's whole process tree; the peak is the sum of
  the processes' highest resident sets, read after the first load.
- A bare process imports torch and loads the checkpoint, nothing else.
- Peers run with one worker and with the best settings that were found, besides their defaults, which
  were measured in the first round only. MLServer takes no multipart and gets JSON with the PNG in
  base64, mosec the PNG alone, and Triton pixels, so that it decodes nothing.
- Over gRPC the load comes from a process with grpcio's asyncio client (16 connections, one call at a
  time on each), the same for all. It takes more of the processors than wrk does.
- Again: `make bench` (half an hour), or `make bench-quick` (this service and plain FastAPI, under 3
  minutes).
"""


def write(results: Results, page: Path, chart: Path) -> None:
    """Write the page and its chart; the page names the chart relative to itself."""
    page.parent.mkdir(parents=True, exist_ok=True)
    chart.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(_page(results)) + "\n", encoding="utf-8")
    draw(results, chart)


def _page(r: Results) -> Iterator[str]:
    yield HEAD.format(rounds=r.rounds, seconds=r.seconds, processors=r.machine["processors"])
    yield "## Targets\n"
    yield from _table(
        ("ratio within this run", "bar", "measured", "reached"),
        [
            (
                t.what + (f" ({t.against})" if t.against else ""),
                t.bar,
                "–" if t.measured is None else f"{t.measured:.2f}",
                t.verdict,
            )
            for t in targets(r)
        ],
    )
    yield "\n## Everyone\n"
    yield from _everyone(r)
    yield "\n## This service\n"
    yield from _ourselves(r)
    yield "\n## gRPC\n"
    yield from _rpc(r)
    yield "\n## Limits without HTTP\n"
    yield from _limits(r)
    yield "\n## Settings\n"
    yield from _table(("server", "settings"), list(r.settings.items()))
    for server, reason in r.not_measured.items():
        yield f"\n{server} was not measured: {' '.join(reason.split())[:300]}"
    yield "\n" + HOW
    yield "## Machine and versions\n"
    yield from _table(("", ""), [*r.machine.items(), *r.versions.items()])


def _everyone(r: Results) -> Iterator[str]:
    yield "The default model, `cnn`:\n"
    yield from _compared(r, BY_CNN)
    yield "\n`softmax-mlp`:\n"
    yield from _compared(r, BY_MLP)
    yield "\nMemory and start:\n"
    yield from _starts(r)


def _compared(r: Results, of: tuple[Scenario, Scenario, Scenario]) -> Iterator[str]:
    """`of`: 16 clients, 64, and one."""
    sixteen, sixty_four, alone = of
    ours = r.per_second(OURSELVES, sixteen.name)
    rows = []
    for title in by_speed(r, sixteen):
        speed = r.per_second(title, sixteen.name)
        rows.append(
            (
                f"**{title}**" if title == OURSELVES else title,
                _number(speed) + _spread(r, title, sixteen),
                _number(speed / ours if speed and ours else None, 2),
                *(_number(r.median(title, sixteen.name, v), 2) for v in (p50, _p99)),
                _number(r.per_second(title, sixty_four.name)),
                _number(r.median(title, alone.name, p50), 2),
                *(_number(r.median(title, s.name, _microseconds)) for s in (sixteen, sixty_four)),
                str(sum(m.load.errors for s in of for m in r.of(title, s.name))),
            )
        )
    yield from _table(
        (
            "server",
            "16 clients: requests/s (min–max)",
            "of ours",
            "p50 ms",
            "p99 ms",
            "64 clients: requests/s",
            "1 client: p50 ms",
            "16 clients: processor µs a request",
            "64 clients",
            "errors",
        ),
        rows,
    )


def _starts(r: Results) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        (
            title,
            _number(r.start(title, lambda s: s.peak_memory_bytes / 2**20)),
            _number(r.start(title, lambda s: s.seconds_to_ready), 1),
        )
        for title in by_speed(r, HEADLINE)
    ]
    yield from _table(("server", "peak MiB", "s to ready"), rows)


def _ourselves(r: Results) -> Iterator[str]:
    rows = []
    for title in (OURSELVES, f"{OURSELVES}, two workers"):
        for scenario in OURS:
            speed = r.per_second(title, scenario.name)
            if speed is None:
                continue
            name = scenario.name + ("" if title == OURSELVES else ", two workers")
            speeds = _number(speed, 0 if speed >= 100 else 1), _number(speed * scenario.rows)
            rows.append((name, *speeds, *_further(r, title, scenario)))
    yield from _table(("scenario", "requests/s", "rows/s", *FURTHER), rows)
    for title in (OURSELVES, f"{OURSELVES}, two workers"):
        pss = r.start(title, lambda s: s.proportional_memory_bytes / 2**20)
        if pss is not None:
            yield f"\n{title}: {pss:,.0f} MiB with shared pages counted once (proportional set size)."


def _rpc(r: Results) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    for scenario in (RPC, RPCS):
        ours = r.per_second(WITH_RPC, scenario.name)
        for title in [s.title for s in SERVERS if r.of(s.title, scenario.name)]:
            speed = r.per_second(title, scenario.name)
            of_ours = speed / ours if speed and ours else None
            first = f"{title}: {scenario.name}", _number(speed), _number(of_ours, 2)
            rows.append((*first, *_further(r, title, scenario)))
    yield from _table(("server, scenario", "requests/s", "of ours", *FURTHER), rows)


FURTHER = ("p50 ms", "p99 ms", "errors", "CPU s per 1,000")


def _further(r: Results, title: str, scenario: Scenario) -> tuple[str, ...]:
    """`FURTHER`, of one server under one scenario."""
    latencies = (_number(r.median(title, scenario.name, value), 2) for value in (p50, _p99))
    errors = str(sum(m.load.errors for m in r.of(title, scenario.name)))
    return (*latencies, errors, _number(r.median(title, scenario.name, lambda m: m.cpu_s_per_1000), 2))


def _limits(r: Results) -> Iterator[str]:
    for what, text in (
        ("infer", "the checkpoint alone, 16 rows at a time, one thread"),
        ("decode-and-infer", "64 PNGs decoded and inferred together, one thread"),
    ):
        yield f"- {text}: {_number(r.loop(what, lambda loop: loop.digits_per_s))} digits/s"
    seconds = r.loop("load", lambda loop: loop.seconds_to_load)
    memory = r.loop("load", lambda loop: loop.peak_memory_bytes / 2**20)
    yield f"- a bare process that loads the checkpoint: {_number(seconds, 2)} s, {_number(memory)} MiB"


def _spread(r: Results, title: str, scenario: Scenario) -> str:
    values = [m.load.per_second for m in r.of(title, scenario.name)]
    return f" ({min(values):,.0f}–{max(values):,.0f})" if len(values) > 1 else ""


def _p99(measurement: Measurement) -> float:
    return measurement.load.p99_ms


def _microseconds(measurement: Measurement) -> float:
    return 1000 * measurement.cpu_s_per_1000


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "| --- |" + " ---: |" * (len(heads) - 1) if len(heads) > 2 else "| --- | --- |"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
