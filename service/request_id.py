"""What a request is called: the caller's own id, where it is well formed, or one that is made."""

import random
import re
from collections.abc import MutableMapping
from typing import Any

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._~:/+=-]{1,128}").fullmatch


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """Always the same one, whoever asks."""
    state = scope.setdefault("state", {})
    request_id: str | None = state.get("request_id")
    if request_id is None:
        request_id = state["request_id"] = _named(scope) or new_request_id()
    return request_id


def new_request_id() -> str:
    return f"{random.getrandbits(128):032x}"


def _named(scope: MutableMapping[str, Any]) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _WELL_FORMED(value):
            return str(value, "ascii")
    return None
