"""The folder in which workers keep their figures."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.workers import metrics_folder as module
from service.workers.metrics_folder import FolderUnusable, MetricsFolder, metrics_folder
from tests.conftest import ROOT

LEAVE = (
    "import os; from service.workers.metrics_folder import metrics_folder\n"
    "with metrics_folder(None) as folder: print(folder.path, flush=True); os._exit(9)"
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_successor_takes_over_the_counts_and_not_the_rows_under_way(tmp_path: Path) -> None:
    folder = MetricsFolder(tmp_path)
    for name in ("counter_1.db", "histogram_1.db", "gauge_livesum_1.db", "counter_11.db"):
        (tmp_path / name).write_text(name)
    folder.hand_over(5)
    folder.bury(1)
    folder.hand_over(2)
    folder.hand_over(3)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "counter_2.db": "counter_1.db",
        "histogram_2.db": "histogram_1.db",
        "counter_11.db": "counter_11.db",
    }


def test_it_is_made_again_for_the_next_worker(temporary: Path) -> None:
    with metrics_folder(None) as folder:
        shutil.rmtree(folder.path)
        folder.bury(1)
        folder.hand_over(2)
        assert folder.path.is_dir()
    assert os.listdir(temporary) == []


def test_it_is_gone_afterwards_and_what_was_left_goes_too(temporary: Path) -> None:
    environment = os.environ | {"TMPDIR": str(temporary)}
    left = subprocess.run(
        [sys.executable, "-c", LEAVE], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert Path(left.stdout.strip()).is_dir()
    (temporary / "abacus-metrics-of-another-kind").mkdir()
    with metrics_folder(None) as first, metrics_folder(None) as second:  # the second spares the first
        assert not Path(left.stdout.strip()).exists()
        assert first.path.is_dir()
        assert first.path != second.path
    assert os.listdir(temporary) == ["abacus-metrics-of-another-kind"]


def test_the_operator_s_own_is_emptied_and_kept(tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.mkdir()
    (named / "counter_1.db").touch()
    (named / "theirs").touch()
    with metrics_folder(str(named)) as folder:
        assert folder.path == named
        assert not (named / "counter_1.db").exists()
        with pytest.raises(FolderUnusable, match="another service uses it"), metrics_folder(str(named)):
            pass
    assert (named / "theirs").exists()


def test_without_a_temporary_folder_there_is_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(module, "gettempdir", none)
    with metrics_folder(None) as folder:
        assert folder.path.parent == Path("/dev/shm")


def test_without_any_it_says_which_variable_names_one(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_bases", lambda: [temporary / "absent"])
    with pytest.raises(FolderUnusable, match="set PROMETHEUS_MULTIPROC_DIR"), metrics_folder(None):
        pass
    with pytest.raises(FolderUnusable, match="cannot be used"), metrics_folder("/proc/absent"):
        pass


def test_a_file_system_without_locks_is_no_place(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(FolderUnusable), metrics_folder(str(temporary)):
        pass
