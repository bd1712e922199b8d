"""The types of what may be asked about: one input, or several."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypeVar  # with defaults (PEP 696)

from abacus_client.pictures import Picture
from abacus_client.results import Prediction
from abacus_client.rows import Dataclass, Frame, NamedTuple, Record

P = TypeVar("P", bound=Prediction, default=Prediction)

One = Picture | Mapping[str, Any] | Record | NamedTuple | Dataclass

__all__ = ["Frame", "One", "P"]
