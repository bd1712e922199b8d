"""The log: one line an event on stderr, whether it is ours or uvicorn's.

As text it is for people where stderr is a terminal, with the time and the level in colour; elsewhere it is
logfmt. Or it is JSON.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.artifacts.manifest import printable
from service.option_types import LogFormat
from service.settings import colours_wanted

FIRST = ["timestamp", "level", "logger", "event"]
DIM, RESET = "\x1b[2m", "\x1b[0m"
COLOURS = {
    "debug": DIM,
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}
MOST_SHOWN = 100_000


def log_config(log_format: LogFormat, level: str) -> dict[str, Any]:
    """What logging.config.dictConfig takes; every worker process applies it when it starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter, "log_format": log_format}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        # It warns of every form that it cannot read: the client is told, and must not fill our log.
        "loggers": {"python_multipart": {"level": "ERROR"}},
        "root": {"handlers": ["stderr"], "level": logging.getLevelName(level.upper())},
    }


def formatter(log_format: LogFormat) -> logging.Formatter:
    for_people = log_format == "text" and sys.stderr.isatty()
    renderers: list[Processor]
    if log_format == "json":
        renderers = [structlog.processors.JSONRenderer()]
    elif for_people:
        renderers = [_Line(colours_wanted())]
    else:
        logfmt = structlog.processors.LogfmtRenderer(key_order=FIRST, drop_missing=True)
        renderers = [_escaped, logfmt]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper("%H:%M:%S" if for_people else "iso", utc=not for_people),
            structlog.processors.format_exc_info,
            _without_colours,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


class _Line:
    """`12:00:01 warning  what happened  key=value`; a traceback stands below."""

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        time, level, _, what = (str(event.pop(name, "")) for name in FIRST)
        traceback = event.pop("exception", "")
        rest = " ".join(f"{name}={value}" for name, value in event.items())
        shown = [self._in(DIM, time), self._in(COLOURS.get(level, ""), f"{level:<8}"), _one_line(what)]
        if rest:
            shown.append(self._in(DIM, _one_line(rest)))
        below = [_one_line(line) for line in traceback.splitlines()]
        return "\n".join([" ".join(shown), *below])

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET}" if self._coloured and colour else text


def _one_line(text: str) -> str:
    """Parts of it were written by others: nothing of it begins a line or acts on the terminal."""
    return printable(text, MOST_SHOWN)


def _escaped(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape all but the ends of lines, which logfmt escapes itself."""
    return {
        name: "\n".join(map(_one_line, value.split("\n"))) if isinstance(value, str) else value
        for name, value in event.items()
    }


def _without_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's message once more, for a terminal
    return event
