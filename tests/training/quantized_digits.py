"""The committed softmax-mlp, with an int8 form."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from service.artifacts.manifest import Manifest
from service.artifacts.store import ArtifactStore
from tests.conftest import BASELINE, Digits, digit_candidate
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.publishing.activation import Activation
from training.publishing.archive import weights
from training.publishing.publish import publish
from training.publishing.quantization import Quantization


def baseline_net() -> nn.Module:
    net = DigitNet(softmax_mlp())
    of_version = weights((BASELINE / "model.pt").read_bytes())
    net.load_state_dict({"temperature": net.temperature} | of_version)  # it was published without
    return net.eval()


def publish_with_int8(root: Path, digits: Digits, told: list[str] | None = None) -> Manifest:
    """As the next version of `digit`, live. `told`: what a command would say."""
    rows = torch.from_numpy(digits.images_u8)[:, None]
    candidate = replace(
        digit_candidate(baseline_net(), rows[:10]),
        proof_rows=rows[200:],
        quantization=Quantization(rows[:200]),
    )
    tell = told.append if told is not None else str
    return publish(candidate, ArtifactStore(root), activation=Activation(True, tell))
