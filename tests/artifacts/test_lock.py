"""The publishers' lock: one at a time, however many there are, and nothing left of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.artifacts.lock import LOCK_FILE, locked
from service.artifacts.store import ArtifactStore
from tests.conftest import ROOT, wait_for

# Each adds one to a number so often, and fails every other time, after which its folder may be gone.
ADDING = """
import sys
from contextlib import suppress
from pathlib import Path
from service.artifacts.store import ArtifactStore

store, counted = ArtifactStore(Path(sys.argv[1])), Path(sys.argv[2])
for turn in range(int(sys.argv[3])):
    with suppress(KeyError), store.publishing("digit") as folder:
        before = int(counted.read_text())
        (folder / ".staging").touch(exist_ok=False)
        counted.write_text(str(before + 1))
        (folder / ".staging").unlink()
        if turn % 2:
            raise KeyError
"""


def python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT)


def test_publishers_take_turns_though_each_takes_the_lock_away(tmp_path: Path) -> None:
    counted, publishers, turns = tmp_path / "counted", 4, 300
    counted.write_text("0")
    root = tmp_path / "models"
    processes = [python(ADDING, str(root), str(counted), str(turns)) for _ in range(publishers)]
    assert [process.wait(120) for process in processes] == publishers * [0]
    assert int(counted.read_text()) == publishers * turns
    assert not list(root.rglob("*.*")), "neither a lock nor anything staged"


def test_what_was_made_for_nothing_goes_and_what_was_there_stays(tmp_path: Path) -> None:
    with locked(tmp_path / "new" / "models" / "digit"):
        assert (tmp_path / "new" / "models" / "digit" / LOCK_FILE).is_file()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "models").mkdir()
    with pytest.raises(KeyError), ArtifactStore(tmp_path / "models").publishing("digit"):
        raise KeyError
    assert list(tmp_path.rglob("*")) == [tmp_path / "models"]
    with ArtifactStore(tmp_path / "models").publishing("digit") as folder:
        (folder / "1").mkdir()
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "models", folder, folder / "1"]


def test_a_holder_that_is_killed_frees_it(tmp_path: Path) -> None:
    holding = "import sys, time, pathlib; from service.artifacts.lock import locked\n"
    holding += "with locked(pathlib.Path(sys.argv[1])): time.sleep(600)"
    holder = python(holding, str(tmp_path / "digit"))
    try:
        wait_for((tmp_path / "digit" / LOCK_FILE).is_file)
    finally:
        holder.kill()
        holder.wait()
    with locked(tmp_path / "digit"):
        pass
    assert list((tmp_path / "digit").iterdir()) == []
