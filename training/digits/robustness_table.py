"""What was found of a digit model's robustness, as the command prints it."""

from rich.console import Console
from rich.table import Table

from training.digits.held_out.non_digits import BARS
from training.digits.held_out.sources import SOURCES
from training.digits.robustness import Robustness


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
