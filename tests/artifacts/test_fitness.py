"""A manifest is held to its question before its model is: what does not fit never goes live."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from service.artifacts.fitness import contradictions, improbable
from service.artifacts.interface import Output, TableInput
from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ArtifactError, Manifest
from service.artifacts.version_folder import read_manifest
from service.engine.loading import load
from service.engine.tensors import encode_tensor
from tests.conftest import BASELINE, COMMITTED, CPU
from training.digits.digit_recipe import IMAGES
from training.publishing.archive import script

DIGIT, PASS = BASELINE, COMMITTED / "pass" / "1"


def changed(folder: Path, **changes: Any) -> dict[str, Any]:
    """The manifest of a committed version as it is read, with what stands at dotted paths changed."""
    return _changed(read_manifest(folder).model_dump(mode="json"), changes)


def old(folder: Path, **changes: Any) -> dict[str, Any]:
    """Likewise, as it was written."""
    return _changed(json.loads((folder / MANIFEST_FILE).read_text()), changes)


def _changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
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


def column(**fields: Any) -> dict[str, Any]:
    return {"name": "width", **fields}


def picture(**fields: Any) -> dict[str, Any]:
    return {
        "height": 28,
        "width": 28,
        "channels": 1,
        "resize": "mnist",
        "polarity": "light-on-dark",
        **fields,
    }


RULES = [
    (DIGIT, {"output__labels": ["0"] * 10}, "output.labels are not distinct"),
    (DIGIT, {"output__labels": [*"012345678", "nine"]}, "not the digits 0 to 9 in order"),
    (DIGIT, {"output__threshold": 0.5}, "output.threshold is given: classes have none"),
    (DIGIT, {"output__units": "cm"}, "output.units are given: a probability has none"),
    (DIGIT, {"kind": "table"}, "input is no table's"),
    (PASS, {"kind": "digit"}, "input is no digit's"),
    (DIGIT, {"kind": "picture"}, "input.resize is mnist, which a picture is not"),
    (DIGIT, {"input": picture(resize="crop")}, "input.resize is crop, which a digit is not"),
    (DIGIT, {"input": picture(polarity=None)}, "input is None [1, 28, 28]"),
    (DIGIT, {"input": picture(channels=3)}, "input is light-on-dark [3, 28, 28]"),
    (
        DIGIT,
        {"input": picture(resize="crop", resize_to=20), "kind": "picture"},
        "less than what is cut",
    ),
    (
        DIGIT,
        {"input": picture(resize="stretch", resize_to=30), "kind": "picture"},
        "which stretch does not",
    ),
    (DIGIT, {"input": picture(resize="crop"), "kind": "picture"}, "which only a digit has"),
    (PASS, {"input__columns": [column(), column()]}, "input.columns are not distinct"),
    (PASS, {"input__columns": [column(name=" width")]}, "cannot be sent as it is shown"),
    (PASS, {"input__columns": [column(name="a\nb")]}, "cannot be sent as it is shown"),
    (PASS, {"input__columns": [column(minimum=3, maximum=2)]}, "minimum 3 of column 'width' is above"),
    (PASS, {"input__columns": [column(training_minimum=3, training_maximum=2)]}, "training_minimum 3 of"),
    (PASS, {"input__columns": [column(dtype="category")]}, "is category and has 0 categories"),
    (PASS, {"input__columns": [column(categories=["a"])]}, "is float32 and has 1 categories"),
    (PASS, {"input__columns": [column(dtype="category", categories=["a", "a"])]}, "are not distinct"),
    (PASS, {"input__columns": [column(dtype="category", categories=["a"], minimum=1)]}, "and a minimum"),
    (PASS, {"output__threshold": None}, "output.threshold is missing"),
    (PASS, {"output__labels": ["failed", "passed"]}, "output.labels are 2: a binary answer has 1"),
    (PASS, {"output__labels": ["a\x1b[2J"]}, "output.labels cannot be shown"),
    (PASS, {"output": {"kind": "classes", "labels": ["a"]}}, "classes are at least 2"),
    (PASS, {"output__score": {"name": "odd", "threshold": 0.5}}, "output.score is given: a binary answer"),
    (
        PASS,
        {"output": {"kind": "numbers", "labels": ["a"], "score": {"name": "odd", "threshold": 0.5}}},
        "output.score is given: numbers have none",
    ),
    (PASS, {"input__columns": [column(name="probability")]}, "would have probability twice"),
    (PASS, {"input__columns": [column(name="passed")]}, "would have passed twice"),
    (PASS, {"output__labels": ["version"]}, "would have version twice"),
    (PASS, {"output__labels": ["probability"]}, "would have probability twice"),
    (PASS, {"output": {"kind": "numbers", "labels": ["extrapolating"]}}, "would have extrapolating twice"),
    (
        PASS,
        {
            "output": {"kind": "classes", "labels": ["a", "b"]},
            "input__columns": [column(name="label")],
        },
        "would have label twice",
    ),
    (PASS, {"check__tolerance": 1}, "check.tolerance is 1, above 0.01"),
    (PASS, {"check__inputs": encode_tensor(torch.zeros(6, 2)).model_dump()}, "check.inputs are float32"),
    (PASS, {"check__outputs": encode_tensor(torch.zeros(5, 1)).model_dump()}, "5 rows for 6"),
]


@pytest.mark.parametrize(("folder", "changes", "rule"), RULES)
def test_what_contradicts_itself_is_told_with_its_rule(
    tmp_path: Path, folder: Path, changes: dict[str, Any], rule: str
) -> None:
    document = changed(folder, **changes)
    wrong = contradictions(Manifest.model_validate(document))
    assert any(rule in one for one in wrong), wrong
    assert all(one.isprintable() for one in wrong)
    version = tmp_path / folder.parent.name / "1"
    version.mkdir(parents=True)
    (version / MANIFEST_FILE).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r"1/manifest\.json: "):
        load(version, CPU)  # its model is not even looked for


@pytest.mark.parametrize(
    ("folder", "changes", "rule"),
    [
        (
            DIGIT,
            {"output__labels": ["0", "1", "2"]},
            r"not float32 \[-1, 3\]",
        ),
        (DIGIT, {"output__shape": [-1, 10, 1]}, r"output is float32 \[-1, 10, 1\]"),
        (DIGIT, {"output__shape": [10, 10]}, r"output is float32 \[10, 10\]"),
        (DIGIT, {"output__score": {"name": "odd", "threshold": 0.5}}, r"not float32 \[-1, 11\]"),
        (DIGIT, {"output__dtype": "uint8"}, "output is uint8"),
        (DIGIT, {"input__shape": [-1, 0, 28, 28]}, r"input is uint8 \[-1, 0, 28, 28\]"),
        (PASS, {"input__shape": [-1, 2]}, r"input is float32 \[-1, 2\], not float32 \[-1, 1\]"),
        (PASS, {"input__training_minimum": 9}, "training_minimum 9 of column 'hours' is above"),
        (PASS, {"output__shape": [-1, 2]}, r"output is float32 \[-1, 2\]"),
        (PASS, {"task": "regression"}, "not a manifest"),
    ],
)
def test_what_contradicts_itself_in_version_1_is_refused_too(
    tmp_path: Path, folder: Path, changes: dict[str, Any], rule: str
) -> None:
    document = old(folder, **changes)
    version = tmp_path / folder.parent.name / "1"
    version.mkdir(parents=True)
    (version / MANIFEST_FILE).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=rule):
        load(version, CPU)


def test_version_1_is_read_as_version_2_says_it() -> None:
    manifest = read_manifest(PASS)
    assert json.loads((PASS / MANIFEST_FILE).read_text())["schema_version"] == 1
    assert manifest.kind == "table"
    assert isinstance(manifest.input, TableInput)
    (hours,) = manifest.input.columns
    assert (hours.name, hours.units, hours.minimum, hours.training_maximum) == (
        "hours",
        "hours studied",
        0,
        3,
    )
    assert manifest.output == Output(kind="binary", labels=("passed",), threshold=0.5)
    assert read_manifest(DIGIT).input == IMAGES
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_threshold_is_a_probability(tmp_path: Path, threshold: float) -> None:
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(changed(PASS, output__threshold=threshold)))
    with pytest.raises(ArtifactError, match=r"output\.threshold|not a manifest"):
        read_manifest(tmp_path)


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


def test_numbers_may_be_any() -> None:
    manifest = read_manifest(PASS)
    numbers = manifest.model_copy(update={"output": Output(kind="numbers", labels=("cm",))})
    assert improbable([[170.0]], manifest) is not None
    assert improbable([[170.0]], numbers) is None
