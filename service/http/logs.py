"""The log: one line an event on stderr, as text or as JSON, whether it is ours or uvicorn's."""

import logging
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.settings import LogFormat


def log_config(log_format: LogFormat, level: str) -> dict[str, Any]:
    """For logging.config.dictConfig; every worker process applies it when it starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _formatter, "log_format": log_format}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        # It warns of every form that it cannot read: the client is told, and must not fill our log.
        "loggers": {"python_multipart": {"level": "ERROR"}},
        "root": {"handlers": ["stderr"], "level": logging.getLevelName(level.upper())},
    }


def _formatter(log_format: LogFormat) -> logging.Formatter:
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "logger", "event"])
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_colours,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _without_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's message once more, for a terminal
    return event
