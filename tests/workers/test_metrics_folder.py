"""The folder in which workers keep their figures."""

import fcntl
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from service.workers import metrics_folder as module
from service.workers.metrics_folder import FolderUnusable, MetricsFolder, metrics_folder
from tests.conftest import ROOT, no_descriptor_left
from tests.disks import fill, small_disk

LEAVE = (
    "import os; from service.workers.metrics_folder import metrics_folder\n"
    "with metrics_folder(None) as folder: print(folder.path, flush=True); os._exit(9)"
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def read_in(folder: Path) -> dict[str, set[str]]:
    """What Prometheus is told of, by file."""
    read = MmapedDict.read_all_values_from_file
    return {
        file.name: {key for key, *_ in read(file)}  # type: ignore[no-untyped-call]
        for file in folder.iterdir()
    }


def test_a_successor_takes_over_the_counts_and_not_the_rows_under_way(tmp_path: Path) -> None:
    folder = MetricsFolder(tmp_path)
    for name in ("counter_1.db", "histogram_1.db", "gauge_livesum_1.db", "counter_11.db"):
        values = MmapedDict(str(tmp_path / name))  # type: ignore[no-untyped-call]
        values.write_value(name, 1, 0)  # type: ignore[no-untyped-call]
        values.close()  # type: ignore[no-untyped-call]
    folder.hand_over(5)
    folder.bury(1)
    counted = {name for name, of in read_in(tmp_path).items() if of}
    assert counted == {"counter_1.db", "histogram_1.db", "counter_11.db"}
    folder.hand_over(2)
    folder.hand_over(3)
    assert {name: of for name, of in read_in(tmp_path).items() if of} == {
        "counter_2.db": {"counter_1.db"},
        "histogram_2.db": {"histogram_1.db"},
        "counter_11.db": {"counter_11.db"},
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


def test_there_is_room_for_what_a_worker_will_count(tmp_path: Path) -> None:
    folder = MetricsFolder(tmp_path)
    folder.hand_over(1)
    files = {file.name: file.stat() for file in tmp_path.iterdir()}
    assert set(files) == {f"{kind}_1.db" for kind in ("counter", "histogram", "gauge_livesum", "gauge_max")}
    assert all(512 * stat.st_blocks >= stat.st_size > 0 for stat in files.values())
    folder.bury(1)
    folder.hand_over(2)
    assert {file.name: file.stat().st_size for file in tmp_path.iterdir()} == {
        name.replace("_1", "_2"): stat.st_size for name, stat in files.items()
    }


def test_there_is_room_ahead_of_what_is_counted(tmp_path: Path) -> None:
    """In time: prometheus_client makes a file longer without taking room for it."""
    folder = MetricsFolder(tmp_path)
    folder.hand_over(1)
    path = tmp_path / "histogram_1.db"
    values = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    names = [f"{number:06}{'x' * 1000}" for number in range(3000)]
    for number, name in enumerate(names):
        values.write_value(name, number, 0)  # type: ignore[no-untyped-call]
        folder.keep_ahead()
        assert 512 * path.stat().st_blocks >= path.stat().st_size
    values.close()  # type: ignore[no-untyped-call]
    assert read_in(tmp_path)[path.name] == set(names)
    sizes = {file.name: file.stat().st_size >> 20 for file in tmp_path.iterdir()}
    assert sizes == {"counter_1.db": 1, "gauge_livesum_1.db": 1, "gauge_max_1.db": 1, path.name: 8}


def test_what_has_no_room_is_left_as_it_is(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "6m") as disk:
        folder = MetricsFolder(disk)
        folder.hand_over(1)
        path = disk / "counter_1.db"
        with path.open("r+b") as file:
            file.write((600_000).to_bytes(4, "little"))
        fill(disk)
        folder.keep_ahead()
        assert path.stat().st_size == 1 << 20
        (disk / "ballast").unlink()
        folder.keep_ahead()
        assert path.stat().st_size == 1 << 21


def test_without_a_descriptor_left_nobody_looks(tmp_path: Path) -> None:
    folder = MetricsFolder(tmp_path)
    folder.hand_over(1)
    (tmp_path / "counter_1.db").write_bytes(b"counted")
    with no_descriptor_left():
        folder.keep_ahead()
        folder.bury(1)
        with pytest.raises(OSError, match="Too many open files"):
            folder.hand_over(2)
        folder.bury(2)
    folder.hand_over(3)
    assert (tmp_path / "counter_3.db").read_bytes().startswith(b"counted")


def test_a_successor_has_the_room_of_who_died_on_a_disk_that_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "6m") as disk:
        folder = MetricsFolder(disk / "metrics")
        folder.hand_over(1)
        fill(disk)
        for died in (1, 2):
            folder.bury(died)
            fill(disk)
            folder.hand_over(died + 1)
        with pytest.raises(OSError, match="No space left"):
            folder.hand_over(4)
        assert all(file.stat().st_size for file in folder.path.iterdir()), "nobody reads beside such a file"


@pytest.mark.parametrize("named", [False, True])
def test_without_room_no_worker_is_started(named: bool, tmp_path: Path) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    environment = os.environ | ({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if named else {})
    command = [sys.executable, "-m", "service", "--port", "0", "--workers", "2"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, preexec_fn=no_room, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ("has no room for metrics" if named else "set PROMETHEUS_MULTIPROC_DIR") in ended.stderr
