"""The file of keys: what it may hold, how it is written, and what happens when it cannot be read."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.__main__ import cli
from service.artifacts.files import read_regular
from service.http import keys
from service.http.keys import KeyFile, KeysUnreadable, add_key
from tests.conftest import ROOT, wait_for


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.mark.parametrize("text", ["name", "name:1234", "na me:" + 64 * "0", "\xff", "\0\0"])
def test_a_file_that_holds_no_keys_stops_the_service(file: Path, text: str) -> None:
    file.write_text(text, encoding="latin-1")
    with pytest.raises(KeysUnreadable):
        KeyFile(file)
    result = CliRunner().invoke(cli, ["--api-keys-file", str(file)])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("kind", "reason"), [("folder", "regular"), ("fifo", "regular"), ("huge", "more than"), ("", "No such")]
)
def test_only_a_regular_file_of_some_size_is_read(file: Path, kind: str, reason: str) -> None:
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind:
        with file.open("wb") as sparse:
            sparse.truncate(1 << 33)
    with pytest.raises(KeysUnreadable, match=reason):
        KeyFile(file)


def test_marks_line_ends_and_comments_of_any_editor_are_read(file: Path) -> None:
    key, other = add_key(file, "a"), add_key(file, "a")
    lines = file.read_text().splitlines()
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["# ours", *lines, "", "  # end"]).encode())
    assert KeyFile(file).name_of(key) == KeyFile(file).name_of(other) == "a"
    assert KeyFile(file).name_of("another") is None


def test_a_key_s_name_is_a_word(file: Path) -> None:
    with pytest.raises(KeysUnreadable, match="no name"):
        add_key(file, "two words:")
    assert not file.exists()


def lost(file: Path, made: list[str]) -> int:
    known = KeyFile(file)
    return sum(known.name_of(key) is None for key in made)


def test_keys_that_are_added_at_once_are_all_there(file: Path) -> None:
    code = (
        "import pathlib, sys; from service.http.keys import add_key\n"
        "print(*[add_key(pathlib.Path(sys.argv[1]), 'n') for _ in range(20)])"
    )
    command = [sys.executable, "-c", code, str(file)]
    adding = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    made = [key for process in adding for key in process.communicate(timeout=240)[0].split()]
    assert len(made) == 160
    assert lost(file, made) == 0
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))
    assert lost(file, made) == 1  # the control: one that is lost is seen


def test_a_file_is_written_in_place_through_links(file: Path, tmp_path: Path) -> None:
    """What is mounted, linked or owned by another stays so."""
    add_key(file, "a")
    file.write_text(file.read_text().rstrip())  # an editor that leaves the last line open
    file.chmod(0o640)
    before = file.stat()
    link = tmp_path / "link"
    link.symlink_to(file)
    key = add_key(link, "b")
    after = file.stat()
    assert (after.st_ino, after.st_mode, link.is_symlink()) == (before.st_ino, before.st_mode, True)
    assert KeyFile(file).name_of(key) == "b"
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_a_file_that_is_a_mount_point_takes_a_key(file: Path, tmp_path: Path) -> None:
    file.touch()
    mounted = tmp_path / "mounted"
    mounted.touch()
    script = 'mount --bind "$1" "$2" || exit 77; exec "$3" -m service key a --file "$2"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(file), str(mounted), sys.executable]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    if result.returncode == 77 or "unshare" in result.stderr:
        pytest.skip("this machine lets no test mount")
    assert result.returncode == 0, result.stderr
    assert KeyFile(file).name_of(result.stdout.strip()) == "a"


@pytest.mark.parametrize(
    "place", ["absent/keys", "folder", "fifo", "loop", "broken", "/dev/null", "/proc/keys"]
)
def test_a_file_that_takes_no_key_is_said_in_a_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").write_text("broken\n")
    result = CliRunner().invoke(cli, ["key", "a", "--file", str(tmp_path / place)])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Error" in result.output


def test_a_full_disk_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_key(file, "a")
    before = file.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:9]))
    with pytest.raises(KeysUnreadable, match="No space left"):
        add_key(file, "b")
    assert file.read_bytes() == before


def test_content_decides_and_not_its_time_stamp(file: Path) -> None:
    key = add_key(file, "a")
    known, stamp = KeyFile(file), file.stat()
    with known.kept_up(lambda: None):
        file.write_text(file.read_text().replace("a:", "b:"))
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        wait_for(lambda: known.name_of(key) == "b")


def test_a_file_that_is_gone_for_a_while_changes_nothing(file: Path) -> None:
    key = add_key(file, "a")
    known, failures = KeyFile(file), threading.Semaphore(0)
    with known.kept_up(failures.release):
        content = file.read_bytes()
        file.unlink()
        assert failures.acquire(timeout=30)
        assert known.name_of(key) == "a"
        file.write_bytes(content.replace(b"a:", b"c:"))
        wait_for(lambda: known.name_of(key) == "c")


def test_a_file_system_that_hangs_is_counted_and_holds_up_nobody(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_key(file, "a")
    known, failures, answers = KeyFile(file), threading.Semaphore(0), threading.Event()

    def hanging(path: Path, at_most: int) -> bytes:
        assert answers.wait(60)
        return read_regular(path, at_most)

    monkeypatch.setattr(keys, "PATIENCE_S", 0.1)
    monkeypatch.setattr(keys, "read_regular", hanging)
    with known.kept_up(failures.release):
        assert failures.acquire(timeout=30)
        assert failures.acquire(timeout=30)
        assert known.name_of(key) == "a"
        assert caplog.text.count("does not answer") == 1
        file.write_text("")
        answers.set()
        wait_for(lambda: known.name_of(key) is None)


def test_keys_that_are_handed_over_need_no_file(file: Path) -> None:
    key = add_key(file, "a")
    content = file.read_bytes()
    file.write_text("broken\n")
    assert KeyFile(file, content).name_of(key) == "a"
