"""The TorchScript archive of a network: made, with others inside, and read back."""

import io
import zipfile
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from service.engine.torchscript import load_archive
from service.engine.ways import FORM_FILE, torchscript_accepted


def script(net: nn.Module) -> bytes:
    """The TorchScript archive of a network that is on the CPU.

    Source positions are left out: they name folders of the machine that trained.
    """
    saved = io.BytesIO()
    _take_for_what_they_are(net)
    with torchscript_accepted():
        torch.jit.save(torch.jit.script(net), saved)
    return _repacked(saved, lambda name: not name.endswith(".debug_pkl"))


def _take_for_what_they_are(net: nn.Module) -> None:
    """TorchScript knows builtin functions by where they are in memory, also those that are gone since.

    Operators that are declared twice are, as `torch.ao` does. A list that has come to lie there would be a
    "builtin [that] cannot be used as a value", once in some runs.
    """
    builtins = torch.jit._builtins._get_builtin_table()
    for module in net.modules():
        for value in vars(module).values():
            if not callable(value):
                builtins.pop(id(value), None)


def with_forms(model: bytes, forms: Mapping[str, bytes]) -> bytes:
    """An archive that holds others, by their names. Who loads it sees nothing of them unless asked for."""
    further = {FORM_FILE.format(name): archive for name, archive in forms.items()}
    return _repacked(io.BytesIO(model), lambda _: True, further) if forms else model


def _repacked(
    archive: io.BytesIO, wanted: Callable[[str], bool], further: Mapping[str, bytes] | None = None
) -> bytes:
    """`further`: what torch calls extra files, by their names."""
    repacked = io.BytesIO()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(repacked, "w") as target:
        records = [record.filename for record in source.infolist() if wanted(record.filename)]
        for name in records:
            target.writestr(zipfile.ZipInfo(name), source.read(name))
        for name, content in (further or {}).items():
            root = records[0].partition("/")[0]
            target.writestr(zipfile.ZipInfo(f"{root}/extra/{name}"), content)
    return repacked.getvalue()


def network(model: bytes) -> nn.Module:
    """The network in an archive, on the CPU. Raises RuntimeError or ValueError."""
    with torchscript_accepted():
        net: nn.Module = load_archive(model)
    for parameter in net.parameters():  # a script has no `requires_grad_` of its own
        parameter.requires_grad_(False)
    return net.eval()


def weights(model: bytes) -> dict[str, Tensor]:
    """The parameters and buffers of an archive, by their names in the network that it was made of."""
    return network(model).state_dict()


def unscripted(net: nn.Module, rows: Tensor) -> nn.Module:
    """What torch.export takes, which traces Python: a script has none. `rows`: two that it answers."""
    if not isinstance(net, torch.jit.ScriptModule):
        return net
    from torch._export.converter import TS2EPConverter  # private: it goes when TorchScript goes

    converted: nn.Module = TS2EPConverter(net, (rows,), None).convert().module(check_guards=False)
    return converted
