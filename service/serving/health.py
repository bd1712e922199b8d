"""Whether the process answers, and whether it can answer all that it should."""

from service.errors import FieldError, NotLive, NotReady
from service.serving.registry import Registry


def check_live(registry: Registry) -> None:
    """Raises NotLive, which names what is computed without an end."""
    if hung := registry.hung:
        reasons = tuple(FieldError(what, why) for what, why in hung.items())
        raise NotLive(f"Not live: {', '.join(hung)}.", reasons)


def check_ready(registry: Registry) -> None:
    """Raises NotReady, which names what stands in the way."""
    if unready := registry.unready():
        reasons = tuple(FieldError(what, why) for what, why in unready.items())
        raise NotReady(f"Not ready to serve: {', '.join(unready)}.", reasons)
