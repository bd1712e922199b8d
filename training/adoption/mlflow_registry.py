"""Models of MLflow's registry: `models:/NAME/3`, `models:/NAME@champion`."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from service import installing
from service.engine.tensors import reason
from service.errors import outcome
from training.adoption.file_kinds import is_torchscript
from training.adoption.torchscript_file import archive_of, words
from training.data import DataUnavailable

SCHEME = "models:/"
EXPORTED = "model.pt2"  # what mlflow.pytorch.log_model writes unless it is told otherwise
_PASSWORD = re.compile(r"//[^/@\s]*@")  # of an address, which MLflow's messages repeat
_ADDRESS = re.compile(r"models:/+([^/@]+)(?:/(\d+)|@([^/@]+))")

# MLflow itself asks for minutes before it gives up; what is already set is left as it is.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@dataclass(frozen=True)
class Registered:
    """A version of a registered model, whose file lies in a folder here."""

    name: str
    version: int
    run_id: str
    file: Path
    pickled: bool
    columns: tuple[str, ...]

    @property
    def origin(self) -> str:
        run = f", of run {self.run_id}" if self.run_id else ""
        return f"MLflow's registry: {self.name} version {self.version}{run}"


def download(address: str, folder: Path) -> Registered:
    """The registered model at an address. Raises DataUnavailable."""
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise DataUnavailable(f"{address!r:.120} is neither models:/NAME/VERSION nor models:/NAME@ALIAS")
    name, number, alias = found.groups()
    for variable, value in _PATIENCE.items():
        os.environ.setdefault(variable, value)
    mlflow = _mlflow()
    fetched = outcome(_fetch, mlflow, name, number, alias, folder)  # every storage has errors of its own
    if isinstance(fetched, Exception):
        problem = (
            f"{address:.120} is not to be had from the registry at {mlflow.get_registry_uri():.200}:"
            f" {reason(fetched)}"
        )
        raise DataUnavailable(_PASSWORD.sub("//", problem)) from fetched
    version, local = fetched
    file, columns = _read_mlmodel(local, address)
    pickled = file.name != EXPORTED and not is_torchscript(file)
    return Registered(name, int(version.version), version.run_id or "", file, pickled, columns)


def _fetch(
    mlflow: ModuleType, name: str, number: str | None, alias: str | None, folder: Path
) -> tuple[Any, Path]:
    client = mlflow.MlflowClient()
    version = (
        client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
    )
    exact = f"{SCHEME}{name}/{version.version}"
    return version, Path(mlflow.artifacts.download_artifacts(artifact_uri=exact, dst_path=str(folder)))


def _mlflow() -> ModuleType:
    try:
        import mlflow
        import mlflow.artifacts
    except ImportError as error:
        raise DataUnavailable(
            f"models:/… is read by MLflow, which is not installed: {installing('mlflow')}"
        ) from error
    found: ModuleType = mlflow
    return found


def _read_mlmodel(folder: Path, address: str) -> tuple[Path, tuple[str, ...]]:
    """The file of a model and the names of its columns, if its signature has any."""
    import yaml  # comes with MLflow

    try:
        said: Any = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataUnavailable(f"{address:.120} has no MLmodel that can be read") from error
    flavors = said.get("flavors") if isinstance(said, dict) else None
    if not isinstance(flavors, dict):
        raise DataUnavailable(f"{address:.120} has an MLmodel without flavors")
    if not isinstance(flavor := flavors.get("pytorch"), dict):
        others = ", ".join(sorted(map(str, flavors)))
        raise DataUnavailable(
            f"{address:.120} has no pytorch flavor, which alone is served; it has {others}"
        )
    data = folder / str(flavor.get("model_data") or "data")
    file = data if data.is_file() else data / "model.pth"
    if not file.is_file():
        file = data / EXPORTED
    if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
        raise DataUnavailable(f"{address:.120} has neither data/model.pth nor data/{EXPORTED}")
    return file, _columns(said.get("signature"))


def _columns(signature: Any) -> tuple[str, ...]:
    try:
        inputs: Any = json.loads(signature["inputs"])
        return tuple(str(column["name"]) for column in inputs)
    except (TypeError, KeyError, ValueError):
        return ()


def blank(columns: str | None, channels: int, size: int | None) -> Tensor | None:
    """Two rows, float32 [2,columns] or [2,channels,size,size], to trace a module with."""
    if columns:
        return torch.zeros(2, columns.count(",") + 1)
    return torch.zeros(2, channels, size, size) if size else None


def torchscript_of(
    registered: Registered, example: Tensor | None, tell: Callable[[str], object], *, trust: bool
) -> Path:
    """Its file; of a pickled module one is made, with `trust` alone: that runs what it holds.

    Raises DataUnavailable.
    """
    if not registered.pickled:
        return registered.file
    which = f"{registered.name} version {registered.version}"
    if not trust:
        raise DataUnavailable(
            f"{which} is a pickled module, which may run any code when it is read: --trust-remote-code"
            f" if you trust who registered it; neither {EXPORTED} nor a TorchScript file needs it"
        )
    module = outcome(partial(torch.load, registered.file, map_location="cpu", weights_only=False))
    if isinstance(module, Exception):
        raise DataUnavailable(
            f"{which} cannot be unpickled (its classes have to be importable here): {words(module)}"
        ) from module
    if not isinstance(module, nn.Module):
        raise DataUnavailable(f"{which} is a {type(module).__name__}, not a torch.nn.Module")
    made = registered.file.with_name("made_of_pickle.pt")
    made.write_bytes(archive_of(module.float().eval(), example, tell))
    return made
