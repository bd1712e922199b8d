"""What is found in a folder, as real ones are."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from service.pictures.folders import files_in


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in files_in(folder)]


def test_files_of_any_name_are_found_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["-.png", "B.PNG", "a/b/c.Png", "a.png", "a.zip", "b\n.png", "c\r.png", "d\udcff.png", "é"]
    assert found(made(tmp_path, *names)) == [str(path) for path in sorted(map(Path, names))]


def test_what_is_hidden_and_what_systems_leave_is_not(tmp_path: Path) -> None:
    left = ("Thumbs.db", "a/THUMBS.DB", "desktop.ini", "__MACOSX/._a.png", "__MACOSX/a.png", "Icon\r")
    hidden = (".DS_Store", ".git/x.png", "a/.b/c.png", "a/._b.png")
    assert found(made(tmp_path, "a.png", *left, *hidden)) == ["a.png"]
    assert files_in(made(tmp_path / ".own", "a.png")) == [tmp_path / ".own" / "a.png"]


def test_links_are_followed_but_in_circles(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    made(folder, "a/1.png", "b/2.png")
    made(elsewhere, "3.png")
    (folder / "file.png").symlink_to("a/1.png")
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    (folder / "a" / "up").symlink_to("..")
    (folder / "b" / "self").symlink_to(".")
    (folder / "out").symlink_to(tmp_path.parent)
    (folder / "again").symlink_to("b")
    expected = ["a/1.png", "again/2.png", "b/2.png", "file.png", "linked/3.png"]
    assert found(folder) == expected


def test_what_leads_to_nothing_is_told_and_what_is_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "folder.png").mkdir()
    assert found(tmp_path) == ["gone.png", "self.png"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_a_folder_that_cannot_be_read_is_no_empty_one() -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # where other users may go, unlike to tmp_path
        os.chmod(name, 0o755)
        made(Path(name), "a.png", "closed/b.png")
        (Path(name) / "closed").chmod(0o700)
        try:
            os.seteuid(12345)
            with pytest.raises(PermissionError, match="closed"):
                files_in(Path(name))
        finally:
            os.seteuid(0)
