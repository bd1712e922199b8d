"""The command, asked as a process of its own, and the tables that it writes."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from abacus_client import Manifest
from service.artifacts.store import ArtifactStore
from tests.conftest import ROOT

ENVIRONMENT = {
    "COLUMNS": "120",
    "PATH": "",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
}


def predict(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "abacus_cli", "predict", *words]
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"}
    return subprocess.run(
        command,
        cwd=folder,
        input=given,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=120,
        env=environment,
    )


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def manifest_of(root: Path, name: str) -> Manifest:
    """Of the live version in a store, as a service tells it."""
    store = ArtifactStore(root)
    return Manifest.model_validate(store.manifest(name, store.current(name)).model_dump(mode="json"))
