"""Other forms of the same weights: taken where they are sound and quick, and never instead of an answer."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from service.artifacts.manifest import MAX_FORM_TOLERANCE, ArtifactError
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine.explained import NEVER_QUICKEST, NOT_WORTH_IT
from service.engine.loading import load, prepared, read
from service.engine.predictor import BATCH_SIZES, Choice, Predictor
from service.engine.quickest import Timing, quickest
from service.engine.ways import exact_ways, torchscript_accepted
from tests.conftest import BASELINE, CPU, ROOT, Digits, png, served

EVERY_SIZE = BATCH_SIZES[-1] + 1


@pytest.fixture
def version(with_int8: Path, tmp_path: Path) -> Path:
    shutil.copytree(with_int8.parent, tmp_path / "digit")
    return tmp_path / "digit" / "1"


def change_forms(version: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = version / "manifest.json"
    document = json.loads(path.read_text())
    change(document["forms"])
    path.write_text(json.dumps(document))


def in_int8(version: Path) -> Predictor:
    """As if int8 had been the quickest way for every batch size."""
    rest = prepared(read(version), CPU, "auto")
    choice = rest(None).choice
    assert choice
    last = len(choice.timings[0].seconds) - 1
    return rest(Choice((last,) * EVERY_SIZE, True, None, choice.timings))


def test_float32_is_the_reference(with_int8: Path, digits: Digits) -> None:
    rows = torch.from_numpy(digits.images_u8[:65])[:, None]
    with torch.inference_mode(), torchscript_accepted():
        expected = torch.jit.load(with_int8 / "model.pt").eval()(rows)
    exact = load(with_int8, CPU, "float32")
    torch.testing.assert_close(exact.predict(rows), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(load(BASELINE, CPU).predict(rows), expected, atol=1e-5, rtol=0)
    assert exact.explained
    assert exact.explained.not_taken["int8"] == "--precision float32"
    assert "int8" not in {taken.way for taken in exact.explained.taken}


def test_int8_answers_within_what_is_stated(with_int8: Path, digits: Digits) -> None:
    rows = torch.from_numpy(digits.images_u8)[:, None]
    exact, rounded = load(with_int8, CPU, "float32"), in_int8(with_int8)
    (form,) = read_manifest(with_int8).forms
    assert rounded.explained
    assert {taken.way for taken in rounded.explained.taken} == {"int8"}
    apart = (rounded.predict(rows) - exact.predict(rows)).abs().max()
    assert 0 < apart <= form.tolerance <= MAX_FORM_TOLERANCE
    alone = torch.cat([rounded.predict(row) for row in rows[:20].split(1)])
    torch.testing.assert_close(alone, rounded.predict(rows[:20]), atol=1e-3, rtol=0)


def test_a_form_that_exceeds_its_tolerance_is_not_taken(
    version: Path, digits: Digits, caplog: pytest.LogCaptureFixture
) -> None:
    change_forms(version, lambda forms: forms[0].update(tolerance=1e-9))
    predictor = load(version, CPU, "auto")
    assert predictor.explained
    assert "answers differ from training's by" in predictor.explained.not_taken["int8"]
    assert "digit/1 is served without its form int8: check:" in caplog.text
    rows = torch.from_numpy(digits.images_u8[:3])[:, None]
    torch.testing.assert_close(predictor.predict(rows), load(BASELINE, CPU).predict(rows))


def test_a_form_of_the_future_is_left_alone(version: Path) -> None:
    further = {"name": "float4", "tolerance": 0.01, "decisions_changed": 0, "rows": 10}
    change_forms(version, lambda forms: forms.append(further))
    found = load(version, CPU, "auto").explained
    assert found
    assert found.not_taken["float4"] == "this version of the service does not know it"
    assert "int8" not in found.not_taken or found.not_taken["int8"] == NOT_WORTH_IT


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda forms: forms.append(forms[0]), "forms are not distinct: int8, int8"),
        (lambda forms: forms[0].update(tolerance=0.5), r"forms\.0\.tolerance"),
        (lambda forms: forms[0].update(needs="a processor of the future"), r"forms\.0\.needs"),
    ],
)
def test_a_manifest_that_states_nonsense_is_refused(
    version: Path, change: Callable[[list[dict[str, Any]]], object], why: str
) -> None:
    change_forms(version, change)
    with pytest.raises(ArtifactError, match=why):
        load(version, CPU, "auto")


def test_a_form_that_is_stated_and_not_there_is_left_out(version: Path) -> None:
    change_forms(version, lambda forms: forms.pop())
    document = json.loads((version / "manifest.json").read_text())
    plain = json.loads((BASELINE / "manifest.json").read_text())
    shutil.copy(BASELINE / "model.pt", version / "model.pt")
    document |= {key: plain[key] for key in ("sha256", "size_bytes")}
    document["forms"] = [{"name": "int8", "tolerance": 0.1, "decisions_changed": 0, "rows": 1}]
    (version / "manifest.json").write_text(json.dumps(document))
    found = load(version, CPU, "auto").explained
    assert found
    assert found.not_taken["int8"].endswith("the archive does not hold it")


def rewritten(archive: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A zip with the content of every record changed."""
    saved = BytesIO()
    with zipfile.ZipFile(BytesIO(archive)) as source, zipfile.ZipFile(saved, "w") as target:
        for record in source.infolist():
            content = change(record.filename, source.read(record))
            target.writestr(zipfile.ZipInfo(record.filename), content)
    return saved.getvalue()


def test_without_its_operators_float32_serves(
    version: Path, digits: Digits, caplog: pytest.LogCaptureFixture
) -> None:
    """As a torch without them would find it: the form names operators that are not there."""

    def of_another_torch(name: str, content: bytes) -> bytes:
        return (
            content.replace(b"ops.quantized.linear", b"ops.quantized.liner") if ".py" in name else content
        )

    model = (version / "model.pt").read_bytes()
    model = rewritten(
        model, lambda name, content: rewritten(content, of_another_torch) if "forms/" in name else content
    )
    (version / "model.pt").write_bytes(model)
    path = version / "manifest.json"
    document = json.loads(path.read_text())
    document |= {"size_bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}
    path.write_text(json.dumps(document))
    predictor = load(version, CPU, "auto")
    assert predictor.explained
    assert predictor.explained.not_taken["int8"].startswith(f"torch {torch.__version__} cannot load it: ")
    assert "digit/1 is served without its form int8" in caplog.text
    rows = torch.from_numpy(digits.images_u8[:3])[:, None]
    torch.testing.assert_close(predictor.predict(rows), load(BASELINE, CPU).predict(rows))


@pytest.mark.parametrize(
    ("rounded", "taken"),
    [
        ((0.9, 0.7), (2, 2, 2, 2, 2)),  # on average a tenth is saved
        ((0.94, 0.95), (0, 1, 0, 0, 0)),  # it is not
        ((1.0, 0.7), (2, 2, 2, 2, 2)),  # a row alone takes as long, within noise
        ((1.2, 0.1), (0, 1, 0, 0, 0)),  # a row alone would be slower
    ],
)
def test_what_rounds_is_taken_for_all_sizes_or_for_none(
    rounded: tuple[float, float], taken: tuple[int, ...]
) -> None:
    timings = [Timing(1, (1.0, 0.95, rounded[0])), Timing(4, (1.0, 1.1, rounded[1]))]
    assert quickest(timings, [False, False, True]) == taken
    assert quickest(timings, [False, False, False])[4] == 2


def test_models_and_explain_engine_say_which_way_is_taken(version: Path, digits: Digits) -> None:
    store = version.parent.parent
    with served("--artifacts", str(store)) as service:
        engine = service.client.get("/models/digit").json()["engine"]
        headers = {"Content-Type": "image/png"}
        answer = service.client.post("/predict/digit", content=png(digits.images_u8[0]), headers=headers)
        log = service.log.read_text()
    assert answer.json()["digit"] == digits.labels[0]
    assert "deprecated" not in log  # torch says once that such tensors will go
    names = {"plain", "ink", "ink+onednn", "int8"}
    assert [one["rows"] for one in engine["taken"]] == list(BATCH_SIZES)
    assert {one["way"] for one in engine["taken"]} | set(engine["not_taken"]) == names
    assert set(engine["not_taken"].values()) <= {NEVER_QUICKEST, NOT_WORTH_IT}

    command = [sys.executable, "-m", "service", "--artifacts", str(store), "--explain-engine"]
    done = subprocess.run(
        [*command, "--precision", "float32"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, *rest = done.stdout.splitlines()
    assert first.startswith("device cpu, ")
    sizes = [line.split(" of the plain")[0] for line in rest if " rows: " in line]
    assert len(sizes) == len(BATCH_SIZES)
    assert "digit/1: not int8: --precision float32" in rest


def test_the_ways_of_an_archive_with_forms_are_those_without(with_int8: Path) -> None:
    row = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    names = [
        [way.name for way in exact_ways((folder / "model.pt").read_bytes(), CPU, row, several=True)]
        for folder in (with_int8, BASELINE)
    ]
    assert names[0] == names[1]
    assert not read_manifest(BASELINE).forms
    store = ArtifactStore(with_int8.parent.parent)
    assert store.manifest("digit", 1).schema_version == 2
