"""The tutorial's commands, run as they stand in it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import BASELINE, ROOT, free_ports

PAGE = (ROOT / "docs" / "your-own-model.md").read_text(encoding="utf-8")
MOST_LINES = 14


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", PAGE, re.M | re.S)


def test_from_a_table_a_file_and_a_recipe_to_an_answer(tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_text(blocks("csv")[0])
    shutil.copy(BASELINE / "samples" / "7.png", tmp_path / "photo.png")
    (recipe,) = blocks("python")
    (tmp_path / "sign.py").write_text(recipe)
    commands = blocks("sh")
    assert len(commands) == 3
    for command in commands:
        assert len(command.splitlines()) <= MOST_LINES
        assert "python -c" not in command
    # The service ends with the script, and the script with its first failure.
    ending = "trap 'kill $(jobs -p)' EXIT\n"
    (port,) = free_ports(1)
    script = (ending + "\necho\n".join(commands)).replace(":8000", f":{port}")
    script = script.replace("--port 8000", f"--port {port}")
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    flower, picture, sign = (
        json.loads(line) for line in result.stdout.splitlines() if line.startswith(('{"label"', '{"prob'))
    )
    assert (flower["label"], flower["model"], flower["extrapolating"]) == ("setosa", "iris", False)
    assert [len(picture["top"]), picture["model"], picture["version"]] == [5, "net", 1]
    assert sign["probability"] < 0.01
    assert (sign["same_sign"], sign["extrapolating"]) == (False, False)
    for shown, answered in zip(map(json.loads, blocks("json")), (flower, picture, sign), strict=True):
        assert list(shown) == list(answered)
