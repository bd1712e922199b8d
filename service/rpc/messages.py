"""The protocol's messages and service, made of `open_inference.proto` when they are first asked for."""

import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc

SERVICE = "inference.GRPCInferenceService"

_ROOT = Path(__file__).parents[2]
_PROTO = Path(__file__).with_name("open_inference.proto").relative_to(_ROOT)


@cache
def protocol() -> tuple[ModuleType, ModuleType]:
    """The modules that protoc makes: of messages, and of the service."""
    sys.path.append(str(_ROOT))  # where it looks, which is not there for an editable install
    try:
        messages, services = grpc.protos_and_services(_PROTO.as_posix())
    finally:
        sys.path.remove(str(_ROOT))
    return messages, services


def message(name: str, /, **fields: Any) -> Any:
    """A message of the protocol."""
    return getattr(protocol()[0], name)(**fields)
