"""The chart of one run's results."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import Results
from benchmarks.scenarios import HEADLINE, HEADLINE_CNN, Scenario
from benchmarks.servers import CONSTANT, EMPTY, OURSELVES, SERVERS


def draw(results: Results, path: Path) -> None:
    """Requests a second, 16 clients, the quickest on top: the default model, and the other beside it."""
    panels = [(s, _measured(results, s)[::-1]) for s in (HEADLINE_CNN, HEADLINE)]
    panels = [(scenario, titles) for scenario, titles in panels if titles]
    if not panels:
        return  # other scenarios were measured
    longest = max(len(titles) for _, titles in panels)
    with mpl.rc_context({"font.size": 11, "svg.hashsalt": "abacus"}):
        figure = Figure(figsize=(7.2 * len(panels), 0.36 * longest + 1.8), layout="constrained")
        for axes, (scenario, titles) in zip(
            figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True
        ):
            _bars(axes, results, scenario, titles)
        figure.supxlabel(
            "digits per second, one 28×28 PNG a request, 16 clients, 2 processors with the load",
            fontsize=11,
        )
        figure.savefig(path, dpi=100, metadata={"Software": None})


def _bars(axes: Axes, results: Results, scenario: Scenario, titles: list[str]) -> None:
    speeds = [results.per_second(title, scenario.name) or 0 for title in titles]
    colours = [
        "#d1495b" if t.startswith(OURSELVES) else "#b8b8b8" if t == EMPTY else "#30638e" for t in titles
    ]
    bars = axes.barh(titles, speeds, color=colours)
    axes.bar_label(bars, [f"{speed:,.0f}" for speed in speeds], padding=4)
    axes.set_xlim(0, max(speeds) * 1.15)
    axes.margins(y=0.02)
    served = (
        "the default model, a convolutional net" if scenario is HEADLINE_CNN else "784-512-256-128-64-10"
    )
    axes.set_title(f"{scenario.model}: {served}", fontsize=12)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)


def _measured(r: Results, scenario: Scenario) -> list[str]:
    return [title for title in by_speed(r, scenario) if title != CONSTANT]


def by_speed(r: Results, scenario: Scenario) -> list[str]:
    """The servers that were measured under it, the quickest first."""
    titles = [s.title for s in SERVERS if r.of(s.title, scenario.name)]
    return sorted(titles, key=lambda title: -(r.per_second(title, scenario.name) or 0))
