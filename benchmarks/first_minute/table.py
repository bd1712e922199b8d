"""The table of the page, in Markdown."""

from pathlib import Path
from statistics import median

from benchmarks.first_minute.contestants import CONTESTANTS, Contestant

BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
ALL = "all of it"


def table(seconds: dict[str, dict[str, list[float]]], versions: dict[str, str], machine: str) -> str:
    """`seconds`: of each contestant, of each aim, one a round; the medians are shown."""
    measured = [one for one in CONTESTANTS if one.name in seconds]
    medians = {name: {aim: median(of) for aim, of in aims.items()} for name, aims in seconds.items()}
    heads = "".join(f" {one.name} {versions[one.name]}: lines | seconds |" for one in measured)
    rows = [f"| |{heads}", "| --- |" + " ---: | ---: |" * len(measured)]
    for aim in medians[measured[0].name]:
        cells = [_cells(one.lines()[aim], medians[one.name][aim]) for one in measured]
        rows.append(f"| {aim} | {' | '.join(cells)} |")
    cells = [
        _cells(_all_lines(one, medians[one.name]), sum(medians[one.name].values())) for one in measured
    ]
    rows.append(f"| {ALL} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", f"*{machine}*", ""])


def put_into(page: Path, table: str) -> None:
    """In the stead of the table that the page has."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{page} has no {BEGIN.strip()} … {END.strip()}")
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def _cells(lines: int, seconds: float) -> str:
    return f"{lines} | {seconds:.1f}"


def _all_lines(contestant: Contestant, aims: dict[str, float]) -> int:
    return sum(lines for aim, lines in contestant.lines().items() if aim in aims)
