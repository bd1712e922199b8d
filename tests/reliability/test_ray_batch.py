"""Many pictures, read by actors: as the service answers them, and gone on with where it was stopped."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import COMMITTED, ROOT, Digits, png, served
from tests.reliability.cluster import BIN, Cluster, cluster

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed: make test-ray")

PICTURES = 100


def test_pictures_are_answered_as_by_the_service_and_once(tmp_path: Path, digits: Digits) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "answers.jsonl"
    folder.mkdir()
    for number, image in enumerate(digits.images_u8[:PICTURES]):
        (folder / f"{number:03}.png").write_bytes(png(image))
    (folder / "none.png").write_bytes(b"no picture")
    with cluster() as ray:
        assert read(ray, folder, out) == 1
        first = answers(out)
        out.write_text("".join(out.read_text().splitlines(keepends=True)[:40]))  # as when it was stopped
        assert read(ray, folder, out) in (0, 1)
        again = answers(out)
    assert sorted(first) == sorted(again)
    assert len(first) == PICTURES + 1
    assert "error" in first[str(folder / "none.png")]
    with served("--artifacts", str(COMMITTED), "--models", "digit") as service:
        for number in range(3):
            picture = folder / f"{number:03}.png"
            answer = service.client.post("/predict/digit", content=picture.read_bytes(), headers=PNG).json()
            found = first[str(picture)]
            assert found["digit"] == answer["digit"]
            assert found["version"] == answer["version"]
            assert found["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-5)


PNG = {"Content-Type": "image/png"}


def read(ray: Cluster, folder: Path, out: Path) -> int:
    command = [f"{BIN}/python", "-m", "deploy.ray.batch", "digit", f"{folder}", "--out", f"{out}"]
    command += ["--actors", "2", "--artifacts", f"{COMMITTED}"]
    done = subprocess.run(command, cwd=ROOT, env=ray.environment, capture_output=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr.decode()
    assert b"answered in" in done.stderr
    return done.returncode


def answers(out: Path) -> dict[str, dict[str, object]]:
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({row["file"] for row in rows}) == len(rows)
    return {row["file"]: row for row in rows}
