"""What a program of torch.export reads: one tensor, of any number of rows."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from service.artifacts.manifest import printable
from training.adoption.exported_file import DTYPES, ExportUnusable, Meta, Program, Range

_FLOAT32 = 7
_SYMBOL = re.compile(r"Symbol\('(\w+)'[\w=, ]*\)", re.ASCII)

_ANY_ROWS = (
    "torch.export keeps the number of rows open only with an example of 2 rows or more: log_model(…,"
    " input_example=ROWS), with -1 as the first size of the signature, in MLflow; elsewhere"
    " dynamic_shapes=({0: torch.export.Dim.AUTO},)"
)


class Row(NamedTuple):
    """The sizes of a row, each from a range."""

    sizes: tuple[Range, ...]

    def fits(self, sizes: tuple[int, ...]) -> bool:
        if len(sizes) != len(self.sizes):
            return False
        return all(
            (one.min_val or 0) <= size and (one.max_val is None or size <= one.max_val)
            for one, size in zip(self.sizes, sizes, strict=True)
        )

    def __str__(self) -> str:
        return f"[{', '.join(map(_range, self.sizes))}]"


def row_read(program: Program) -> tuple[str, Row]:
    """What its input is called in its graph, and how large a row is.

    Raises ExportUnusable unless it reads one tensor, f32 [N, …], of any N.
    """
    given = [
        given.get("arg", {})
        for spec in program.graph_module.signature.input_specs
        for kind, given in spec.items()
        if kind in ("user_input", "constant_input")  # which is a number, a flag or a text
    ]
    if len(given) != 1 or "as_tensor" not in given[0]:
        raise ExportUnusable(
            f"reads {len(given)} inputs; pictures, or rows of a table, are one tensor: wrap it so that it"
            " makes its own of them"
        )
    name = str(given[0]["as_tensor"]["name"])
    meta: Meta = program.graph_module.graph.tensor_values[name]
    if meta.dtype != _FLOAT32:
        dtype = str(DTYPES.get(meta.dtype, "another dtype")).removeprefix("torch.")
        how = "wrap it so that it makes its own of them"
        if "float" in dtype:
            how = "export `net.float()` with an example in float32"
        raise ExportUnusable(f"reads {dtype}; it is given float32: {how}")
    if not meta.sizes:
        raise ExportUnusable("reads a single number, and no rows")
    ranges = [_possible(size, program.range_constraints) for size in meta.sizes]
    _check_rows(ranges[0])
    if program.guards_code:
        raise ExportUnusable(
            f"is right for some sizes of its input alone, {printable(program.guards_code[0])!r:.80}, and is"
            " asked any number of rows: leave out of its code what depends on it; no other size may be open"
        )
    symbols = [str(size["as_expr"]) for size in meta.sizes if "as_expr" in size]
    if len(set(symbols)) < len(symbols):
        raise ExportUnusable("reads as many numbers a row as there are rows")
    return name, Row(tuple(ranges[1:]))


def _check_rows(rows: Range) -> None:
    """Whether 1 is right, which torch.export has in the range of no open size, is tried later."""
    if rows.min_val is not None and rows.min_val == rows.max_val:
        raise ExportUnusable(
            f"reads {rows.min_val} row{'s' * (rows.min_val != 1)} at once, no more or less: {_ANY_ROWS}"
        )
    if (rows.min_val or 0) > 2 or rows.max_val is not None:
        raise ExportUnusable(f"reads {_range(rows)} rows at once, and has to read any number: {_ANY_ROWS}")


def _possible(size: Mapping[str, Any], ranges: Mapping[str, Range]) -> Range:
    if "as_int" in size:
        return Range(min_val=int(size["as_int"]), max_val=int(size["as_int"]))
    expression = str(size["as_expr"]["expr_str"])
    if not (symbol := _SYMBOL.fullmatch(expression)):
        raise ExportUnusable(
            f"reads sizes that follow from each other, {printable(expression)!r:.60}: {_ANY_ROWS}"
        )
    return ranges.get(symbol[1], Range())


def _range(of: Range) -> str:
    if of.min_val == of.max_val and of.min_val is not None:
        return str(of.min_val)
    return f"{of.min_val or 0} to {'any' if of.max_val is None else of.max_val}"
