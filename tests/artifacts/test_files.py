"""The door to files that others can write to: what is read through it, and what is not."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from service.artifacts.files import (
    Unreadable,
    folders_in,
    read_below,
    read_regular,
    stamp_below,
    write_durably,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "digit" / "1").mkdir(parents=True)
    (tmp_path / "root" / "digit" / "1" / "file").write_bytes(b"content")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"secret")
    return tmp_path / "root"


def read(root: Path) -> bytes:
    return read_below(root, "digit", "1", "file", at_most=7)


def test_a_regular_file_is_read(root: Path) -> None:
    assert read(root) == b"content"
    assert read_below(root, "digit", "1", "file", at_most=7, exactly=True) == b"content"


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    root.with_name("link").symlink_to(root)
    assert read(root.with_name("link")) == b"content"


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.symlink_to(path.parents[3] / "outside" / "file")


def a_link_within(path: Path) -> None:
    path.with_name("other").write_bytes(b"content")
    path.symlink_to("other")


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_fifo, "a FIFO, and no regular file"),
        (a_socket, "a socket"),
        (a_folder, "a folder"),
        (a_link, "a link"),
        (a_link_within, "a link"),
        (a_loop, "a link"),
        (a_link_to_a_device, "a link"),
        (Path.exists, "No such file"),
    ],
)
def test_anything_else_is_not(root: Path, make: Callable[[Path], object], reason: str) -> None:
    file = root / "digit" / "1" / "file"
    file.unlink()
    make(file)
    with pytest.raises(Unreadable, match=rf"digit/1/file cannot be read: .*{reason}") as refused:
        read(root)
    assert refused.value.missing == (reason == "No such file")
    assert "secret" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device")
def test_a_device_is_not_read(root: Path) -> None:
    file = root / "digit" / "1" / "file"
    file.unlink()
    os.mknod(file, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with pytest.raises(Unreadable, match="a device"):
        read(root)


@pytest.mark.parametrize("name", ["digit", "digit/1"])
@pytest.mark.parametrize("make", [a_fifo, a_loop])
def test_no_folder_on_the_way_may_be_anything_else(
    root: Path, name: str, make: Callable[[Path], None]
) -> None:
    (root / name).rename(root.with_name("moved"))
    make(root / name)
    with pytest.raises(Unreadable, match=f"{name} cannot be read: it is .*, and no folder"):
        read(root)


def test_a_folder_that_is_a_link_is_not_followed(root: Path) -> None:
    (root / "digit").rename(root.with_name("moved"))
    (root / "digit").symlink_to(root.with_name("moved"))
    with pytest.raises(Unreadable, match="digit cannot be read: it is a link"):
        read(root)
    assert stamp_below(root, "digit", "1", "file") is None
    assert folders_in(root) == []


def test_what_is_exchanged_for_a_fifo_after_it_was_looked_at_is_not_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "digit" / "1" / "file"
    opened = os.open

    def exchanged(path: str, *arguments: int, **options: int) -> int:
        if path == "file":
            file.unlink()
            os.mkfifo(file)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", exchanged)
    with pytest.raises(Unreadable, match="a FIFO"):
        read(root)


def test_size_is_looked_at_before_anything_is_read(root: Path) -> None:
    file = root / "digit" / "1" / "file"
    os.truncate(file, 2**40)  # a terabyte of nothing
    with pytest.raises(Unreadable, match="it has 1099511627776 bytes, more than 7"):
        read(root)
    os.truncate(file, 6)
    with pytest.raises(Unreadable, match="it has 6 bytes, not 7"):
        read_below(root, "digit", "1", "file", at_most=7, exactly=True)


def test_what_grows_while_it_is_read_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = root / "digit" / "1" / "file"
    looked_at = os.fstat

    def grown(descriptor: int) -> os.stat_result:
        found = looked_at(descriptor)
        with file.open("ab") as growing:
            growing.write(b"more")
        return found

    monkeypatch.setattr(os, "fstat", grown)
    with pytest.raises(Unreadable, match="it has grown beyond 7 bytes"):
        read(root)


def test_reading_leaves_no_descriptor_open(root: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    read(root)
    a_fifo(root / "digit" / "1" / "fifo")
    for names in (("digit", "1", "fifo"), ("digit", "2", "file"), ("digit", "1", "file", "below")):
        with pytest.raises(Unreadable):
            read_below(root, *names, at_most=7)
    with pytest.raises(Unreadable):
        read_below(root, "digit", "1", "file", at_most=1)
    assert descriptors() == before


def test_a_folder_is_listed_up_to_a_limit(root: Path) -> None:
    for number in range(20):
        (root / "digit" / f"v{number}").mkdir()
    assert len(folders_in(root, "digit")) == 21
    assert len(folders_in(root, "digit", at_most=5)) == 5


def test_a_stamp_shows_what_fixed_times_hide(root: Path) -> None:
    file = root / "digit" / "1" / "file"
    os.utime(file, (0, 0))
    before = stamp_below(root, "digit", "1", "file")
    file.write_bytes(b"CONTENT")
    os.utime(file, (0, 0))
    assert stamp_below(root, "digit", "1", "file") != before


def test_what_an_operator_names_may_be_a_link(root: Path) -> None:
    """As secrets are that an orchestrator mounts."""
    link = root / "link"
    target = root.parent / "outside" / "file"
    link.symlink_to(target)
    assert read_regular(link, 6) == b"secret"
    with pytest.raises(OSError, match="more than 5"):
        read_regular(link, 5)


def test_writing_follows_no_link_and_waits_for_no_reader(root: Path) -> None:
    outside = root.parent / "outside" / "file"
    (root / "link").symlink_to(outside)
    a_fifo(root / "fifo")
    for name, reason in (("link", "symbolic links"), ("fifo", "No such device")):
        with pytest.raises(OSError, match=reason):
            write_durably(root / name, b"overwritten")
    assert outside.read_bytes() == b"secret"
    write_durably(root / "plain", b"written")
    assert (root / "plain").read_bytes() == b"written"
