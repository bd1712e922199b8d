"""What a file is that is not TorchScript, by how it begins, what it is called and what it holds."""

import io
import re
import zipfile
from pathlib import Path

from service.engine.tensors import reason
from service.engine.torchscript import code_of

EXPORT = "make a TorchScript file of the module: `python -m training export MODULE:CALLABLE`"

# How a TorchScript file calls an operator, and whose operators are PyTorch's own.
_OPERATORS = re.compile(r"(?<![.\w])ops\.(\w+)\.(\w+)")
_OF_PYTORCH = frozenset(
    {"aten", "prim", "prims", "quantized", "_quantized", "prepacked", "sparse", "mkldnn"}
)

# How files of other formats begin, or are called, and what to do with each.
_BEGINNINGS = (
    (b"\x89HDF", f"is HDF5, as Keras writes it, which is not PyTorch's; load it there, then {EXPORT}"),
    (b"\x80", f"is a pickle, which could run anything when it is read; {EXPORT}"),
)
ENDINGS = {
    ".onnx": f"is ONNX, which is not read; from the module that it was made of, {EXPORT}",
    ".safetensors": (
        "holds weights alone, in a format that is not read: save them as a state dict"
        f" (torch.save(safetensors.torch.load_file(FILE), 'w.pt')), then {EXPORT} --weights w.pt"
    ),
    ".keras": f"is Keras', which is not PyTorch's; in PyTorch, {EXPORT}",
    ".tflite": f"is TensorFlow Lite's, which is not PyTorch's; in PyTorch, {EXPORT}",
    ".gguf": f"holds weights alone; {EXPORT}",
}


def why_not(path: Path, data: bytes) -> str | None:
    """What it is instead of TorchScript, and what to do."""
    if path.suffix.lower() in ENDINGS:
        return ENDINGS[path.suffix.lower()]
    for beginning, problem in _BEGINNINGS:
        if data.startswith(beginning):
            return problem
    names = _names_in(data)
    if names is None:
        return f"is no TorchScript file; {EXPORT}"
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        try:
            return _foreign_operator(data)
        except RuntimeError as error:
            return f"is damaged: {reason(error)}"
    if "data.pkl" in inner:
        return (
            "is a pickled module, or a state dict (torch.save), which is never unpickled here;"
            f" {EXPORT}, with --weights FILE for a state dict"
        )
    return f"is a zip, and no TorchScript file; {EXPORT}"


def is_exported(data: bytes) -> bool:
    """Whether it is of torch.export, of whatever age."""
    names = _names_in(data) or ()
    return any(name.endswith(("/archive_format", "serialized_exported_program.json")) for name in names)


def is_torchscript(path: Path) -> bool:
    """Raises OSError."""
    names = _names_in(path) or ()
    return any(name.partition("/")[2] == "constants.pkl" for name in names)


def _names_in(file: Path | bytes) -> list[str] | None:
    """The names of the files in a zip; None where it is no zip. Raises OSError of a path."""
    try:
        with zipfile.ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return None


def _foreign_operator(data: bytes) -> str | None:
    """Why the service, which has PyTorch alone, cannot load a TorchScript file, even if it can be here."""
    for _, code in code_of(data):
        for library, operator in _OPERATORS.findall(code.decode(errors="replace")):
            if library not in _OF_PYTORCH:
                return (
                    f"needs the operator {library}::{operator}, of a library beside PyTorch,"
                    " which the service does not load; leave it out of the module"
                )
    return None
