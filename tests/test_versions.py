"""`python -m service models`: what an operator sees and does from a shell."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.manifest import MODEL_FILE
from service.store import ArtifactStore
from tests.conftest import ROOT


@pytest.fixture
def store(published: Path, tmp_path: Path) -> ArtifactStore:
    """Three versions of `digit` with the same weights."""
    root = tmp_path / "artifacts"
    shutil.copytree(published, root)
    text = (root / "digit" / "1" / "manifest.json").read_text()
    for version in (2, 3):
        shutil.copytree(root / "digit" / "1", root / "digit" / str(version))
        manifest = text.replace('"version": 1', f'"version": {version}')
        (root / "digit" / str(version) / "manifest.json").write_text(manifest)
    return ArtifactStore(root)


def models(store: ArtifactStore, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "models", *arguments, "--artifacts", str(store.root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_versions_are_listed_with_the_live_one_marked(store: ArtifactStore) -> None:
    store.activate("digit", 2)
    lines = models(store, "list").stdout.splitlines()
    assert [line[:9] for line in lines] == ["  digit/1", "* digit/2", "  digit/3", "* pass/1 "]
    assert "accuracy" in lines[0]


def test_activate_verifies_first(store: ArtifactStore) -> None:
    assert models(store, "activate", "digit", "3").returncode == 0
    assert store.current("digit") == 3
    (store.folder("digit", 2) / MODEL_FILE).write_bytes(b"broken")
    refused = models(store, "activate", "digit", "2")
    assert (refused.returncode, store.current("digit")) == (1, 3)
    assert "bytes" in refused.stderr
    assert models(store, "verify", "digit", "2").returncode == 1
    assert "fit to serve" in models(store, "verify", "digit").stdout
    assert models(store, "activate", "digit", "9").returncode == 1
    assert models(store, "verify", "dogit").returncode == 1


def test_rollback_skips_what_is_not_fit(store: ArtifactStore) -> None:
    store.activate("digit", 3)
    (store.folder("digit", 2) / MODEL_FILE).write_bytes(b"broken")
    result = models(store, "rollback", "digit")
    assert result.returncode == 0
    assert "digit/1 is live instead of digit/3" in result.stdout
    assert "skipped" in result.stderr
    assert store.current("digit") == 1
    assert models(store, "rollback", "digit").returncode == 1
    assert store.current("digit") == 1


def test_help_is_everywhere(store: ArtifactStore) -> None:
    for command in ("list", "verify", "activate", "rollback"):
        assert models(store, command, "--help").returncode == 0
    assert models(ArtifactStore(store.root / "nowhere"), "list").returncode == 2
