"""How figures are written for whoever scrapes them: OpenMetrics, or Prometheus' text."""

from collections.abc import Callable
from typing import Any, NamedTuple

from prometheus_client import generate_latest, openmetrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.endpoints.answer import media_ranges


class Form(NamedTuple):
    """How figures are written, and its content type."""

    write: Callable[[Any], bytes]
    content_type: str


TEXT = Form(generate_latest, CONTENT_TYPE_PLAIN_0_0_4)
OPENMETRICS = Form(openmetrics.exposition.generate_latest, openmetrics.exposition.CONTENT_TYPE_LATEST)


def form_of(accept: str) -> Form:
    """OpenMetrics, where it is named and nothing else is preferred; otherwise text, which all can read.

    prometheus_client's own choice passes over weights, and says any version that it is asked for.
    """
    open_weight = text_weight = 0.0
    for media_type, parameters, weight in media_ranges(accept):
        if media_type == "application/openmetrics-text":
            version = parameters.get("version", "1.0.0")
            open_weight = max(open_weight, weight if version == "1.0.0" else 0.0)
        elif media_type in ("text/plain", "text/*", "*/*"):
            text_weight = max(text_weight, weight)
    return OPENMETRICS if open_weight and open_weight >= text_weight else TEXT
