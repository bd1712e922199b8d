"""What a look at the store shows: every change of content, whatever the times of the files say."""

import os
import subprocess
from pathlib import Path

import pytest

from service.artifacts.manifest import ArtifactError, ArtifactUnreadable
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.store import MAX_VERSIONS, ArtifactStore
from service.artifacts.version_folder import read_further_files


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    for version in ("1", "2"):
        (tmp_path / "artifacts" / "digit" / version).mkdir(parents=True)
    (tmp_path / "artifacts" / "digit" / CURRENT_FILE).write_text("2\n")
    return ArtifactStore(tmp_path / "artifacts")


def archive(store: ArtifactStore, content: str) -> Path:
    """An archive with fixed times that has `current` alone."""
    path = store.root.with_name(f"{content}.tar")
    (store.root / "digit" / CURRENT_FILE).write_text(f"{content}\n")
    command = ["tar", "--mtime=@0", "-cf", str(path), "-C", str(store.root), f"digit/{CURRENT_FILE}"]
    subprocess.run(command, check=True)
    return path


def test_an_archive_with_fixed_times_is_noticed(store: ArtifactStore) -> None:
    looks = []
    for path in (archive(store, "1"), archive(store, "2")):
        command = ["tar", "--overwrite", "-xf", str(path), "-C", str(store.root)]
        subprocess.run(command, check=True)
        looks.append(store.look("digit"))
    one, two = looks
    assert (one.current, two.current) == (1, 2)
    pointer = store.root / "digit" / CURRENT_FILE
    assert pointer.stat().st_mtime == 0
    assert one.written != two.written


def test_the_same_number_written_again_is_noticed(store: ArtifactStore) -> None:
    before = store.look("digit")
    store.activate("digit", 2)
    assert store.look("digit").written != before.written
    assert store.look("digit").written == store.look("digit").written


def test_a_change_of_the_live_version_s_files_is_noticed_and_of_no_other(store: ArtifactStore) -> None:
    before = store.look("digit")
    (store.folder("digit", 1) / "model.pt").write_bytes(b"another's")
    assert store.look("digit").files == before.files
    for file in ("manifest.json", "manifest.sig", "model.pt"):
        (store.folder("digit", 2) / file).write_bytes(b"new")
        os.utime(store.folder("digit", 2) / file, (0, 0))
        after = store.look("digit")
        assert after.files != before.files
        assert after.written == before.written
        before = after


def test_what_cannot_be_read_is_told_in_its_place(store: ArtifactStore) -> None:
    pointer = store.root / "digit" / CURRENT_FILE
    pointer.write_text("secret " * 20)
    look = store.look("digit")
    assert isinstance(look.current, ArtifactUnreadable)
    assert "140 bytes, more than 64" in str(look.current)
    assert look.available == (1, 2)
    pointer.write_text("root:x:0:0")
    assert isinstance(store.look("digit").current, ArtifactError)
    assert "root" not in str(store.look("digit").current)
    nothing = store.look("nothing")
    assert str(nothing.current) == "no version of 'nothing' is live"
    assert nothing.available == ()


@pytest.mark.parametrize("name", ["..", ".", "", "../artifacts/digit", "Digit", "di\ngit", "d" * 64])
def test_what_is_no_name_leads_nowhere(store: ArtifactStore, name: str) -> None:
    with pytest.raises(ArtifactError, match="is no name of a model"):
        store.current(name)
    assert store.versions(name) == []


def test_folders_that_are_no_models_are_not_named(store: ArtifactStore) -> None:
    for stray in ("di\x1b[2Jgit", ".staging-1", "Digit"):
        (store.root / stray).mkdir()
    (store.root / "file").write_text("")
    (store.root / "link").symlink_to("digit")
    assert store.names() == ["digit"]


def test_a_look_keeps_the_newest_versions_up_to_a_limit(store: ArtifactStore) -> None:
    for version in range(3, MAX_VERSIONS + 5):
        store.folder("digit", version).mkdir()
    assert store.look("digit").available == tuple(range(5, MAX_VERSIONS + 5))
    assert len(store.versions("digit")) == MAX_VERSIONS + 4


def test_a_link_is_no_version(store: ArtifactStore) -> None:
    store.folder("digit", 3).symlink_to("1")
    assert store.versions("digit") == [1, 2]
    with pytest.raises(ArtifactError, match="not published"):
        store.activate("digit", 3)


def test_further_files_are_read_as_warily(store: ArtifactStore, tmp_path: Path) -> None:
    folder = store.folder("digit", 1)
    (tmp_path / "secret").write_bytes(b"secret")
    for path in ("model.pt", "manifest.json", "manifest.sig", "report/report.md", "samples/0.png"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(path.encode())
    (folder / "report" / "link").symlink_to(tmp_path / "secret")
    (folder / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(folder / "report" / "fifo")
    read = read_further_files(folder)
    assert read == {path: path.encode() for path in ("model.pt", "report/report.md", "samples/0.png")}
    store.folder("digit", 3).symlink_to("1")
    with pytest.raises(ArtifactError, match="digit/3 cannot be read: it is a link"):
        read_further_files(store.folder("digit", 3))
