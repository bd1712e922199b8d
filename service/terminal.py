"""What commands say, a line at a time: nothing of it acts on the terminal, for others wrote parts of it."""

from typing import Any, NoReturn

import typer

from service.artifacts.manifest import printable

MAX_LINE = 2000


def command_line(**more: Any) -> typer.Typer:
    """Commands whose help and errors are plain text: tables cut off names where the terminal is narrow."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **more)


def say(line: str) -> None:
    typer.echo(printable(line, MAX_LINE))


def remark(line: str) -> None:
    """On standard error: beside what the command was asked for."""
    typer.echo(printable(line, MAX_LINE), err=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """End with a line that says why: 2 for what the caller gave, 1 for what came of it."""
    remark(f"Error: {message}")
    raise typer.Exit(code)
