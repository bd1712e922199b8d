"""Which trace a caller wants continued (W3C Trace Context, https://www.w3.org/TR/trace-context/)."""

import re
from collections.abc import Iterable

# No version ff, and no id of zeros alone; what later versions may add is read over.
_IDS = rb"(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-%b-[0-9a-f]{2}(-.*)?" % _IDS)

Fields = Iterable[tuple[bytes, bytes]]


def trace_fields(fields: Fields) -> dict[str, str]:
    """`traceparent`, and `tracestate`, of which several lines are one list. Nothing of several parents."""
    fields = list(fields)
    if (parent := _the_parent(fields)) is None:
        return {}
    states = [value for name, value in fields if name == b"tracestate"]
    joined = {"tracestate": b",".join(states).decode("latin-1")} if states else {}
    return {"traceparent": parent.decode("latin-1"), **joined}


def trace_id_in(fields: Fields) -> str | None:
    """The id of the trace; None where there is none that can be continued."""
    match = _PARENT.fullmatch(_the_parent(fields) or b"")
    if not match or (match[1] == b"00" and match[3]):
        return None
    return str(match[2], "ascii")


def _the_parent(fields: Fields) -> bytes | None:
    parents = [value for name, value in fields if name == b"traceparent"]
    return parents[0] if len(parents) == 1 else None
