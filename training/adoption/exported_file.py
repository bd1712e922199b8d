"""Files of torch.export (`.pt2`), read as what they are: JSON, and the bytes of tensors.

torch.export.load is never called. It evaluates what such a file calls an expression or a guard, and
unpickles what the file says is pickled: each of them is any code.
"""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from service.artifacts.manifest import first_fault

SCHEMA = 8  # torch._export.serde.schema.SCHEMA_VERSION, its first number

# By their numbers in the file, which are not torch's own.
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}

_PROGRAM = "models/model.json"
# What is found in other files of torch.export, and what such a file is.
_OTHERS = (
    ("data/aotinductor/", "holds compiled machine code (AOTInductor), which is not run"),
    ("serialized_exported_program.json", "was written by an older PyTorch, whose files hold pickles"),
    ("data/weights/model.pt", "was written by an older PyTorch, whose files hold pickles"),
)


class ExportUnusable(Exception):
    """What a file of torch.export is or does, so that it is not served."""


class Meta(BaseModel):
    """Of a tensor. A size is `{"as_int": 3}`, or `{"as_expr": …}` where it differs."""

    dtype: int
    sizes: list[dict[str, Any]]
    strides: list[dict[str, Any]]
    storage_offset: dict[str, Any]


class Node(BaseModel):
    """A call. An argument is one key, its type, and what is given: `{"as_int": 3}`."""

    class Input(BaseModel):
        name: str
        arg: dict[str, Any]

    target: str
    inputs: list[Input]
    outputs: list[dict[str, Any]]


class Graph(BaseModel):
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    nodes: list[Node]
    tensor_values: dict[str, Meta]


class Signature(BaseModel):
    """What goes in and out, each a key that says as what, such as `parameter` or `user_output`."""

    input_specs: list[dict[str, Any]]
    output_specs: list[dict[str, Any]]


class GraphModule(BaseModel):
    graph: Graph
    signature: Signature


class Range(BaseModel):
    """Of a size; None without bound."""

    min_val: int | None = None
    max_val: int | None = None


class Program(BaseModel):
    class Version(BaseModel):
        major: int
        minor: int

    schema_version: Version
    graph_module: GraphModule
    range_constraints: dict[str, Range]
    guards_code: list[str]


class _Payload(BaseModel):
    path_name: str
    use_pickle: bool
    tensor_meta: Meta | None


class _Payloads(BaseModel):
    config: dict[str, _Payload]


class Exported(NamedTuple):
    """`weights` and `constants` by the names that the signature calls them."""

    program: Program
    weights: Mapping[str, Tensor]
    constants: Mapping[str, Tensor]


def read_exported(data: bytes, at_most: int) -> Exported:
    """The program in a file of torch.export, and its tensors, on the CPU. Raises ExportUnusable.

    `at_most`: bytes that all of it may unpack to.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(record.file_size for record in archive.infolist()) > at_most:
                raise ExportUnusable(f"holds more than the {at_most:,} bytes that are served")
            return _read(archive)
    except ValidationError as error:
        raise ExportUnusable(f"is damaged: {first_fault(error)}") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ExportUnusable(f"is damaged: {error}") from error
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ExportUnusable(f"is damaged: {type(error).__name__}: {error}") from error


def _read(archive: zipfile.ZipFile) -> Exported:
    names = archive.namelist()
    for part, problem in _OTHERS:
        if any(part in name for name in names):
            raise ExportUnusable(f"{problem}; export it anew with torch.export.save")
    found = [name for name in names if name.endswith(f"/{_PROGRAM}")]
    if len(found) != 1:
        raise ExportUnusable("is damaged: it has no models/model.json")
    root = found[0].removesuffix(_PROGRAM)
    content = json.loads(archive.read(found[0]))
    version = Program.Version.model_validate(content["schema_version"])
    if version.major != SCHEMA:
        raise ExportUnusable(
            f"has schema {version.major}.{version.minor} of torch.export; {SCHEMA} is read, as PyTorch"
            f" {torch.__version__.partition('+')[0]} writes it"
        )
    if "guards_code" not in content:  # what it takes for granted of its input would not be known
        raise ExportUnusable("was written by an older PyTorch; export it anew with torch.export.save")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ExportUnusable("was written on a big-endian machine")
    program = Program.model_validate(content)
    weights = _tensors(archive, root, "weights")
    return Exported(program, weights, _tensors(archive, root, "constants"))


def _tensors(archive: zipfile.ZipFile, root: str, what: str) -> dict[str, Tensor]:
    folder = f"{root}data/{what}/"
    payloads = _Payloads.model_validate_json(archive.read(f"{folder}model_{what}_config.json"))
    stored = dict[str, bytearray]()
    tensors = dict[str, Tensor]()
    for name, payload in payloads.config.items():
        if payload.use_pickle or payload.tensor_meta is None:
            raise ExportUnusable(
                f"holds {name!r:.80} as a pickle, which could run anything: it is no tensor, or none of a"
                " plain kind"
            )
        # One storage for what shares weights, so that it does here too.
        if payload.path_name not in stored:
            stored[payload.path_name] = bytearray(archive.read(folder + payload.path_name))
        tensors[name] = _view(stored[payload.path_name], payload.tensor_meta, name)
    return tensors


def _view(storage: bytearray, meta: Meta, name: str) -> Tensor:
    if (dtype := DTYPES.get(meta.dtype)) is None:
        raise ExportUnusable(f"holds {name!r:.80} in a dtype that is not read (number {meta.dtype})")
    sizes, strides = ([int(one["as_int"]) for one in several] for several in (meta.sizes, meta.strides))
    count = math.prod(sizes)
    if not count:
        return torch.zeros(sizes, dtype=dtype)
    flat = torch.frombuffer(storage, dtype=dtype) if storage else torch.zeros(0, dtype=dtype)
    if count > flat.numel():
        raise ValueError(f"{name!r:.80} has {count:,} numbers, and {flat.numel():,} are stored")
    return flat.as_strided(sizes, strides, int(meta.storage_offset["as_int"]))
