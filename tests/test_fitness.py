"""A manifest is held to its question before its model is: what does not fit never goes live."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from service.artifacts.fitness import contradictions, improbable
from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ArtifactError, Manifest
from service.artifacts.store import ArtifactStore, read_manifest
from service.endpoints.predict import INTERFACES
from service.engine.predictor import load
from service.engine.tensors import encode_tensor
from service.serving.registry import Registry
from tests.conftest import COMMITTED, CPU
from training.publish import script

DIGIT, PASS = COMMITTED / "digit" / "3", COMMITTED / "pass" / "1"


def changed(folder: Path, **changes: Any) -> dict[str, Any]:
    """The manifest of a committed version, with what stands at dotted paths changed."""
    document: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = document
        for parent in parents:
            part = part[parent]
        part[last] = value
    return document


def test_every_committed_version_fits() -> None:
    for path in COMMITTED.glob("*/*/manifest.json"):
        assert contradictions(read_manifest(path.parent)) == []


@pytest.mark.parametrize(
    ("folder", "changes", "rule"),
    [
        (DIGIT, {"output__labels": ["0", "1", "2"]}, "output.labels are 3 for 10 columns"),
        (DIGIT, {"output__labels": ["0"] * 10}, "output.labels are not distinct"),
        (DIGIT, {"output__shape": [-1, 12]}, "output.labels are 10 for 12 columns"),
        (DIGIT, {"output__shape": [-1, 10, 1]}, "output.shape is [-1, 10, 1]"),
        (DIGIT, {"output__shape": [10, 10]}, "output.shape is [10, 10]"),
        (DIGIT, {"output__score": {"name": "odd", "threshold": 0.5}}, "output.labels are 10 for 9 columns"),
        (DIGIT, {"output__dtype": "uint8"}, "output.dtype is uint8, not float32"),
        (DIGIT, {"input__shape": [-1, 0, 28, 28]}, "input.shape is [-1, 0, 28, 28]"),
        (DIGIT, {"input__minimum": 300}, "input.minimum 300 is above input.maximum 255"),
        (PASS, {"input__training_minimum": 9}, "input.training_minimum 9 is above"),
        (PASS, {"output__threshold": None}, "output.threshold is missing"),
        (PASS, {"output__shape": [-1, 2]}, "output.shape has 2 columns: a binary answer has 1"),
        (PASS, {"output__labels": ["failed", "passed"]}, "output.labels are 2 for 1 columns"),
        (
            PASS,
            {"output__shape": [-1, 2], "output__score": {"name": "odd", "threshold": 0.5}},
            "output.score is given: a binary answer has none",
        ),
        (PASS, {"check__tolerance": 1}, "check.tolerance is 1, above 0.01"),
        (
            PASS,
            {"check__inputs": encode_tensor(torch.zeros(6, 2)).model_dump()},
            "check.inputs are float32",
        ),
        (PASS, {"check__outputs": encode_tensor(torch.zeros(5, 1)).model_dump()}, "5 rows for 6"),
    ],
)
def test_what_contradicts_itself_is_told_with_its_rule(
    tmp_path: Path, folder: Path, changes: dict[str, Any], rule: str
) -> None:
    document = changed(folder, **changes)
    wrong = contradictions(Manifest.model_validate(document))
    assert any(rule in one for one in wrong), wrong
    version = tmp_path / folder.parent.name / "1"
    version.mkdir(parents=True)
    (version / MANIFEST_FILE).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r"1/manifest\.json: "):
        load(version, CPU)  # its model is not even looked for


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_threshold_is_a_probability(tmp_path: Path, threshold: float) -> None:
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(changed(PASS, output__threshold=threshold)))
    with pytest.raises(ArtifactError, match=r"output\.threshold|not a manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("labels", [["zero", *"123456789"], [*"1234567890"], [*"012345678", "\x1b[2J"]])
def test_a_digit_is_labelled_by_its_figure_in_order(tmp_path: Path, labels: list[str]) -> None:
    root = tmp_path / "artifacts"
    shutil.copytree(DIGIT, root / "digit" / "3")
    manifest = changed(DIGIT, output__labels=labels)
    (root / "digit" / "3" / MANIFEST_FILE).write_text(json.dumps(manifest))
    registry = Registry(ArtifactStore(root), INTERFACES, CPU)
    with pytest.raises(ArtifactError, match="interface than its route: labels") as refused:
        registry.load_version("digit", 3)
    assert str(refused.value).isprintable()


class Answers(nn.Module):
    """Whatever it is asked, it answers this row."""

    row: Tensor

    def __init__(self, row: Tensor) -> None:
        super().__init__()
        self.register_buffer("row", row)

    def forward(self, images: Tensor) -> Tensor:
        return self.row.expand(images.size(0), -1) + images.float().sum() * 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (torch.full((10,), 0.2), "sum to 2, not 1"),
        (torch.tensor([2.0, -1.0] + [0.0] * 8), "lie between -1 and 2"),
    ],
)
def test_what_a_digit_s_model_answers_to_the_check_are_probabilities(
    tmp_path: Path, row: Tensor, reason: str
) -> None:
    model = script(Answers(row).eval())
    version = tmp_path / "digit" / "3"
    version.mkdir(parents=True)
    (version / MODEL_FILE).write_bytes(model)
    document = changed(
        DIGIT,
        sha256=hashlib.sha256(model).hexdigest(),
        size_bytes=len(model),
        check__outputs=encode_tensor(row.repeat(10, 1)).model_dump(),
    )
    (version / MANIFEST_FILE).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=reason):
        load(version, CPU)


def test_probabilities_may_be_off_by_what_a_float_is() -> None:
    manifest = read_manifest(DIGIT)
    assert improbable([[0.1000001] * 10], manifest) is None
    assert improbable([[0.1 + 0.01] * 10], manifest) is not None
    assert improbable([[0.1 + 0.01] * 10], manifest, slack=0.2) is None
