"""What was found of a digit model's robustness: tables, as the command prints them, and pictures."""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from rich.table import Table

from training.digits.held_out.non_digits import BARS
from training.digits.held_out.sources import SOURCES
from training.digits.robustness import EXAMPLES, Robustness

ROW_HEIGHT = 2.3  # of examples: a picture is 1
MANY_MISTAKES = 1.5  # percent


def print_robustness(console: Console, found: Robustness) -> None:
    table = Table(title=f"{found.digits_per_cell:,} digits a cell")
    table.add_column("factor")
    table.add_column("level")
    table.add_column("right", justify="right")
    for (factor, level), accuracy in found.cells.items():
        table.add_row(factor, level, f"{accuracy:.1%}")
    table.add_section()
    table.add_row("mean", "", f"{found.mean:.2%}")
    table.add_row("worst", "", f"{found.worst:.1%}")
    table.add_row("everything at once", "", f"{found.anything:.1%}")
    for way, accuracy in found.other_digits.items():
        table.add_row("scikit-learn's digits", way, f"{accuracy:.1%}")
    console.print(table)
    table = Table(title=f"Digits as they come from elsewhere, {found.digits_per_source:,} of each")
    for column in ("source", "right", "bar", "flagged though right", "bar"):
        table.add_column(column, justify="left" if column == "source" else "right")
    for name, (right, flagged) in found.sources.items():
        source = SOURCES[name]
        bars = f"{source.right:.1%}", f"{source.flagged:.1%}"
        table.add_row(name, f"{right:.1%}", bars[0], f"{flagged:.1%}", bars[1])
    console.print(table)
    table = Table(title=f"No digits; area under the ROC curve {found.auroc:.4f}")
    table.add_column("kind")
    table.add_column("called so", justify="right")
    table.add_column("bar", justify="right")
    for kind, share in found.flagged.items():
        table.add_row(kind, f"{share:.1%}", f"{BARS[kind]:.0%}" if kind in BARS else "")
    table.add_section()
    table.add_row("scikit-learn's digits", f"{found.other_digits_flagged:.1%}")
    console.print(table)


def examples_figure(found: Robustness, of: str) -> Figure:
    """A row for each factor and kind: uploads, and below each what the model saw of it."""
    rows = list(found.examples.items())
    figure = Figure(figsize=(1.1 * EXAMPLES, 1.1 * ROW_HEIGHT * len(rows) + 0.3), layout="constrained")
    figure.suptitle(f"{of}: true → predicted, and below what the model saw", fontsize=9)
    axes = figure.subplots()  # one for all: hundreds of them take half a minute
    axes.axis("off")
    for row, (name, examples) in enumerate(rows):
        for column, (file, prepared, title) in enumerate(examples[:EXAMPLES]):
            top = ROW_HEIGHT * row
            text = f"{name}: {title}" if column == 0 else title
            axes.text(column, top, text, fontsize=7, verticalalignment="bottom")
            _show(axes, column, top, Image.open(BytesIO(file)).convert("RGB"))
            _show(axes, column, top + 1, Image.fromarray(prepared).convert("RGB"))
    axes.set(xlim=(0, EXAMPLES), ylim=(ROW_HEIGHT * len(rows), -0.3))
    return figure


def _show(axes: Axes, left: float, top: float, picture: Image.Image) -> None:
    """In a square of side 1, less a gap, as it is: `picture` is not distorted."""
    scale = 0.95 / max(picture.size)
    width, height = picture.width * scale, picture.height * scale
    axes.imshow(picture, extent=(left, left + width, top + height, top))


def matrix_figure(found: Robustness, of: str) -> Figure:
    """Every cell of the matrix as a bar of its mistakes."""
    names = [f"{factor}: {level}" for factor, level in found.cells]
    mistakes = [100 * (1 - accuracy) for accuracy in found.cells.values()]
    figure = Figure(figsize=(9, 0.19 * len(names) + 1), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, mistakes, color=["C3" if m > MANY_MISTAKES else "C0" for m in mistakes])
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.tick_params(labelsize=7)
    axes.axvline(MANY_MISTAKES, color="grey", linestyle=":", label=f"{MANY_MISTAKES} %, red beyond")
    axes.set(
        xlabel="Mistakes (%)",
        title=f"{of}: {found.digits_per_cell:,} digits a cell, {found.mean:.2%} right on average",
    )
    figure.legend(loc="outside lower right", fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    return figure
