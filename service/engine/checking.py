"""Whether a model answers here what it answered when it was published."""

from collections.abc import Callable

import torch
from torch import Tensor

from service.artifacts.fitness import improbable
from service.artifacts.manifest import ArtifactError, Manifest
from service.engine.tensors import decode_tensor


def replay(
    predict: Callable[[Tensor], Tensor], manifest: Manifest, tolerance: float, alone: bool = False
) -> None:
    """The rows of the manifest's check, in one batch or each `alone`.

    Raises ArtifactError when answers differ by more than `tolerance`, and whatever `predict` raises.
    """
    expected = decode_tensor(manifest.check.outputs)
    rows = decode_tensor(manifest.check.inputs)
    answers = torch.cat([predict(part) for part in (rows.split(1) if alone else [rows])])
    if answers.shape != expected.shape:
        raise ArtifactError(f"check: answers are {list(answers.shape)}, not {list(expected.shape)}")
    difference = (answers - expected).abs().max().item()
    # Negated so that NaN, which compares false with everything, fails.
    if not difference <= tolerance:
        raise ArtifactError(
            f"check: answers differ from training's by {difference:.3g}, more than {tolerance:g}"
        )
    # Each of the probabilities that are summed may be off by as much.
    slack = (tolerance - manifest.check.tolerance) * len(manifest.output.labels)
    if why := improbable(answers.tolist(), manifest, slack):
        raise ArtifactError(f"check: {why}")
