"""What a manifest says of how a model was trained."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from service.artifacts.manifest import TrainingRecord


def training_record(
    *,
    recipe: str,
    hyperparameters: Mapping[str, str | int | float | bool],
    seed: int,
    device: torch.device,
    data_sha256: str,
    started: float,
) -> TrainingRecord:
    """What the caller knows of a training run, and what is known here. `started`: time.monotonic()."""
    return TrainingRecord(
        recipe=recipe,
        hyperparameters=dict(hyperparameters),
        seed=seed,
        device=str(device),
        torch_version=str(torch.__version__),
        git_commit=git_commit(),
        data_sha256=data_sha256,
        seconds=round(time.monotonic() - started, 1),
    )


def git_commit() -> str | None:
    """The commit that this code is at, `-dirty` appended when it was changed since; None outside git."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # else the repository is not of this code
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    folder = Path(__file__).parent
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def parameter_count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())
