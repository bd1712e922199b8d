"""The results as a table for people, or as JSON for programs."""

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.row import Result

STYLES = {"pass": "green", "fail": "bold red", "skipped": "dim"}
WIDE = 160  # columns where nobody looks on: a file or a pipe


def counted(results: Sequence[Result]) -> str:
    counts = Counter(each.result for each in results)
    return f"{counts['pass']} pass, {counts['fail']} fail, {counts['skipped']} skipped"


def show(results: Sequence[Result], url: str, model: str) -> None:
    """Print the table."""
    table = Table(title=f"Open Inference Protocol: {url}, model {model}", title_justify="left")
    for heading in ("group", "clause", "what", "result"):
        table.add_column(heading)
    group = ""
    for each in results:
        if group and each.group != group:
            table.add_section()
        said = Text(each.row.says)
        if each.reason:
            said.append(f"\n{each.reason}", style="dim" if each.result == "skipped" else "red")
        first = each.group if each.group != group else ""
        group = each.group
        table.add_row(first, Text(each.row.clause), said, Text(each.result, style=STYLES[each.result]))
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)
    console.print(counted(results), highlight=False)


def as_json(results: Sequence[Result], url: str, model: str) -> str:
    rows = [each.as_json() for each in results]
    return json.dumps({"url": url, "model": model, "rows": rows}, indent=1, ensure_ascii=False)
