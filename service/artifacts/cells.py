"""Cells of a table that a spreadsheet opens: what it would compute stands behind an apostrophe.

As OWASP has it (CSV injection). A number is none, whichever mark it has: -1, +.5, -1,5.
"""

import re
from typing import Any

_BEGIN_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-](\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)


def as_text(value: Any) -> Any:
    """A cell as it is written: text that is a formula as text, booleans as in JSON, others as they are."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and _is_marked(value) else value


def from_text(cell: str) -> str:
    """What `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _is_marked(cell[1:]) else cell


def _is_marked(text: str) -> bool:
    """A formula, behind whatever apostrophes there are: so none is taken for one of ours."""
    bare = text.lstrip("'")
    return bare.startswith(_BEGIN_FORMULA) and not _NUMBER.fullmatch(bare)
