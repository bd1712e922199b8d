"""The artifact format and the store, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.artifacts.manifest import ArtifactError, Manifest, TensorData
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest, read_model, write_manifest


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    for version in ("1", "2", "10"):
        (tmp_path / "digit" / version).mkdir(parents=True)
    return ArtifactStore(tmp_path)


@pytest.fixture
def manifest(published: Path) -> Manifest:
    return read_manifest(published / "digit" / "1")


def test_a_manifest_survives_writing_and_reading(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 3}, "schema_version"),
        ({"surprise": 1}, "surprise"),
        ({"name": "../evil"}, "name"),
        ({"version": 0}, "version"),
        ({"created_at": "2026-01-01T00:00:00"}, "created_at"),
        ({"sha256": "abc"}, "sha256"),
        ({"check": {"inputs": {"dtype": "uint8", "shape": [0, 1], "data": ""}}}, "check.inputs.shape"),
        ({"check": {"inputs": {"dtype": "uint8", "shape": [-1], "data": ""}}}, "check.inputs.shape"),
    ],
)
def test_a_manifest_with_anything_unknown_is_refused(
    manifest: Manifest, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    document = manifest.model_dump(mode="json") | change
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=complaint):
        read_manifest(tmp_path)


def test_a_missing_or_broken_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "dig')
    with pytest.raises(ArtifactError, match="not a manifest"):
        read_manifest(tmp_path)


def test_versions_are_numbers_in_order_and_nothing_else(store: ArtifactStore) -> None:
    for stray in (".staging-7", "latest", "03", "-1", "²"):
        (store.root / "digit" / stray).mkdir()
    (store.root / "digit" / "11").write_text("a file, not a version")
    assert store.versions("digit") == [1, 2, 10]
    assert store.versions("unknown") == []


def test_current_names_the_live_version_and_can_go_back(store: ArtifactStore) -> None:
    store.activate("digit", 10)
    assert store.current("digit") == 10
    store.activate("digit", 2)
    assert store.current("digit") == 2
    (store.root / "digit" / "current").write_text("1")  # as an operator writes it, by hand
    assert store.current("digit") == 1


def test_only_a_published_version_can_become_live(store: ArtifactStore) -> None:
    store.activate("digit", 1)
    with pytest.raises(ArtifactError, match="version 3 of 'digit' is not published"):
        store.activate("digit", 3)
    assert store.current("digit") == 1


@pytest.mark.parametrize("text", ["", "latest", "../1", "0", "1e3", "²", "1 2"])
def test_a_pointer_that_is_no_version_is_refused(store: ArtifactStore, text: str) -> None:
    (store.root / "digit" / "current").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="digit/current"):
        store.current("digit")


def test_a_model_must_have_the_stated_size_and_hash(published: Path, tmp_path: Path) -> None:
    folder = published / "digit" / "1"
    manifest = read_manifest(folder)
    model = read_model(folder, manifest)
    (tmp_path / "model.pt").write_bytes(model[:-1])
    with pytest.raises(ArtifactError, match="bytes"):
        read_model(tmp_path, manifest)
    (tmp_path / "model.pt").write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="SHA-256"):
        read_model(tmp_path, manifest)


def test_a_tensor_is_exact_in_json() -> None:
    data = TensorData.encode("float32", (2,), b"\x00\x00\x80\x3f\xff\xff\x7f\x7f")
    assert TensorData.model_validate_json(data.model_dump_json()).decode() == data.decode()


def test_the_format_needs_neither_torch_nor_a_web_framework() -> None:
    code = (
        "import sys, service.artifacts.store; print({'torch', 'fastapi', 'starlette'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
