"""What a graph of torch.export gives to operators, beside its own values, as TorchScript."""

import math
import re
from collections.abc import Callable
from typing import Any

from training.adoption.exported_file import DTYPES, ExportUnusable

_TEXT = re.compile(r"[\w ,.>()-]*", re.ASCII)  # of "bilinear", "ij,jk->ik"
_MEMORY_FORMATS = {
    1: "torch.contiguous_format",
    2: "torch.channels_last",
    3: "torch.channels_last_3d",
    4: "torch.preserve_format",
}
_STRIDED = 7


def _number(given: Any) -> str:
    if isinstance(given, str):  # JSON has no other way for these
        given = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}[given]
    given = float(given)
    return repr(given) if math.isfinite(given) else f"float('{given}')"


def _text(given: Any) -> str:
    if not _TEXT.fullmatch(given):
        raise ExportUnusable(f"gives an operator the text {given!r:.40}, which is not read")
    return f'"{given}"'


def _layout(given: Any) -> str:
    if given != _STRIDED:
        raise ExportUnusable("makes sparse tensors, which are not read")
    return "torch.strided"


LITERALS: dict[str, Callable[[Any], str]] = {
    "as_none": lambda _: "None",
    "as_bool": lambda given: str(bool(given)),
    "as_int": lambda given: str(int(given)),
    "as_float": _number,
    "as_string": _text,
    "as_scalar_type": lambda given: str(DTYPES[given]),
    "as_memory_format": lambda given: _MEMORY_FORMATS[given],
    "as_layout": _layout,
    "as_device": lambda _: 'torch.device("cpu")',
}

# Lists: of what in TorchScript, and which kind each of them is.
LISTS = {
    "as_tensors": ("Tensor", "as_tensor"),
    "as_optional_tensors": ("Optional[Tensor]", "as_optional_tensor"),
    "as_ints": ("int", "as_int"),
    "as_floats": ("float", "as_float"),
    "as_bools": ("bool", "as_bool"),
    "as_strings": ("str", "as_string"),
    "as_sym_ints": ("int", "as_sym_int"),
    "as_sym_floats": ("float", "as_sym_float"),
}
