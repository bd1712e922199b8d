"""What a client takes, as it says in `Accept` (RFC 9110, section 12.5.1)."""

from collections.abc import Iterator

_MOST = 32  # that a client lists


def media_ranges(accept: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Media types, their parameters and their weights."""
    for item in accept.lower().split(",")[:_MOST]:
        media_type, *parts = (part.strip() for part in item.split(";"))
        named = (part.partition("=") for part in parts)
        parameters = {name: value.strip('"') for name, _, value in named}
        try:
            yield media_type, parameters, float(parameters.pop("q", 1))
        except ValueError:
            yield media_type, parameters, 0.0
