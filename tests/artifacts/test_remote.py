"""A store of objects: what is brought of it, and what is not written over. In fsspec's memory."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from service.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE, ArtifactError
from service.artifacts.pointers import CURRENT_FILE
from service.artifacts.remote.mirror import Mirror
from service.artifacts.remote.objects import LostRace, Objects, StoreUnreachable
from service.artifacts.remote.store import RemoteStore
from service.artifacts.signatures import SigningKey, TrustedKeys, make_keys, sign_published
from service.artifacts.version_folder import read_model
from service.commands import cli
from service.rollout.mirroring import Mirroring
from service.settings import Settings
from tests.conftest import ROOT, served
from tests.disks import fill, small_disk
from tests.reliability.object_server import BUCKET, object_server
from training.publishing.publish import check_publishable


class Eventual(MemoryFileSystem):  # type: ignore[misc]
    """What was written lately can be read, and is not listed yet."""

    cachable = False
    unlisted = ""

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        entries = super().ls(path, detail=True, **options)
        listed = [e for e in entries if not (self.unlisted and self.unlisted in f"{e['name']}/")]
        return listed if detail else [entry["name"] for entry in listed]


class Unconditional(MemoryFileSystem):  # type: ignore[misc]
    """Writes, whatever the condition; there are such servers of S3."""

    cachable = False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:  # noqa: ARG002
        super().pipe_file(path, value)


class Comparing(MemoryFileSystem):  # type: ignore[misc]
    """As S3 does it: a tag for each content, and a write that names the one it goes over."""

    cachable = False

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().info(path, **options)
        if found["type"] == "file":
            found["ETag"] = str(self.cat_file(path))
        return found

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", IfMatch: str = "") -> None:
        if IfMatch and self.info(path)["ETag"] != IfMatch:
            raise FileExistsError(path)
        super().pipe_file(path, value, mode=mode)


class Refusing(MemoryFileSystem):  # type: ignore[misc]
    """Lets nobody look."""

    cachable = False

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:  # noqa: ARG002
        raise PermissionError("Access Denied")


Made = Callable[..., tuple[Any, Objects]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A store of its own, of a kind. `scheme` says what the kind can do."""

    def make(kind: Any = MemoryFileSystem, scheme: str = "memory") -> tuple[Any, Objects]:
        filesystem = kind()
        return filesystem, Objects(f"{scheme}://{tmp_path.name}", filesystem)

    return make


def copy(objects: Objects, source: Path, version: int = 1, name: str = "digit", **changes: Any) -> None:
    """A version as it would be copied there by hand, with `current`."""
    filesystem, root = objects._given, f"{objects.url.partition('://')[2]}/{name}"
    for path in (path for path in source.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name == MANIFEST_FILE:
            content = json.dumps(
                json.loads(content) | {"name": name, "version": version} | changes
            ).encode()
        filesystem.pipe_file(f"{root}/{version}/{path.relative_to(source).as_posix()}", content)
    filesystem.pipe_file(f"{root}/{CURRENT_FILE}", f"{version}\n".encode())


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()


def stage(tmp_path: Path, source: Path, version: int) -> Path:
    staged = tmp_path / f"staged-{version}"
    shutil.copytree(source, staged)
    manifest = json.loads((staged / MANIFEST_FILE).read_text()) | {"version": version}
    (staged / MANIFEST_FILE).write_text(json.dumps(manifest))
    return staged


@pytest.fixture
def source(published: Path) -> Path:
    return published / "digit" / "1"


def test_what_is_not_listed_yet_is_brought_all_the_same(made: Made, source: Path, tmp_path: Path) -> None:
    filesystem, objects = made(Eventual)
    copy(objects, source)
    mirror = Mirror(objects, tmp_path)
    assert mirror.follow() == {}
    filesystem.unlisted = "digit/2/"
    copy(objects, source, 2)
    assert mirror.follow() == {}
    assert mirror.store.current("digit") == 2
    assert mirror.store.manifest("digit", 2).version == 2
    filesystem.unlisted = "digit/"  # not even the model
    filesystem.pipe_file(f"{tmp_path.name}/pass/{CURRENT_FILE}", b"x")
    why = "pass/current must hold a version number and nothing else"
    assert mirror.follow() == {"pass/current": why}
    assert str(mirror.store.lacking("pass")) == why
    assert mirror.store.current("digit") == 2


def test_an_empty_store_takes_nothing_away(made: Made, source: Path, tmp_path: Path) -> None:
    filesystem, objects = made()
    copy(objects, source)
    mirror = Mirror(objects, tmp_path)
    assert mirror.follow() == {}
    filesystem.rm(tmp_path.name, recursive=True)
    with pytest.raises(StoreUnreachable, match="is empty, or no store"):
        mirror.follow()
    assert mirror.store.current("digit") == 1


def test_one_process_follows_at_a_time(made: Made, source: Path, tmp_path: Path) -> None:
    _, objects = made()
    copy(objects, source)
    one, other = Mirror(objects, tmp_path), Mirror(objects, tmp_path)
    with one._locked(wait=False):
        assert other.follow() is None
    assert other.follow() == {}


def test_what_another_process_has_looked_for_is_not_asked_for_again(
    made: Made, source: Path, tmp_path: Path
) -> None:
    filesystem, objects = made(Counted)
    copy(objects, source)
    one, other = Mirror(objects, tmp_path), Mirror(objects, tmp_path)
    assert one.follow(every_s=60) == {}
    asked = filesystem.asked
    assert other.follow(every_s=60) is one.follow(every_s=60) is None
    assert filesystem.asked == asked
    assert other.follow(keep=2, every_s=60) == other.follow(only=["pass"], every_s=60) == {}
    assert other.follow(every_s=0) == {}
    for look in (one.folder / "looks").iterdir():
        os.utime(look, (0, 0))
    assert other.follow(every_s=60) == {}
    assert filesystem.asked > asked


def test_an_archive_is_verified_and_kept_once(made: Made, source: Path, tmp_path: Path) -> None:
    filesystem, objects = made()
    copy(objects, source)
    copy(objects, source, 2)
    store = RemoteStore(Mirror(objects, tmp_path))
    folders = [store.folder("digit", version) for version in (1, 2)]
    first, second = (folder / MODEL_FILE for folder in folders)
    assert first.stat().st_ino == second.stat().st_ino

    # Damaged on the disk: whoever starts next brings it again.
    first.write_bytes(b"damaged")
    for folder, version in zip(folders, (1, 2), strict=True):
        assert RemoteStore(Mirror(objects, tmp_path)).folder("digit", version) == folder
        read_model(folder, store.manifest("digit", version))

    copy(objects, source, 3, sha256=64 * "0")
    with pytest.raises(ArtifactError, match=r"digit/3/model\.pt does not have the SHA-256 of its manifest"):
        store.folder("digit", 3)
    copy(objects, source, 4, size_bytes=2**40)
    with pytest.raises(ArtifactError, match="is said to have 1099511627776 bytes"):
        store.folder("digit", 4)
    filesystem.pipe_file(f"{tmp_path.name}/digit/1/report/much", bytes(65 * 2**20))
    with pytest.raises(ArtifactError, match="further files"):
        store.folder("digit", 1)


def test_an_archive_of_another_format_is_brought_by_its_name(
    made: Made, source: Path, tmp_path: Path
) -> None:
    onnx = tmp_path / "onnx"
    shutil.copytree(source, onnx)
    (onnx / MODEL_FILE).rename(onnx / "model.onnx")
    _, objects = made()
    copy(objects, onnx, 1, format="onnx")
    folder = RemoteStore(Mirror(objects, tmp_path / "cache")).folder("digit", 1)
    assert (folder / "model.onnx").read_bytes() == (source / MODEL_FILE).read_bytes()
    assert not (folder / MODEL_FILE).exists()


def test_the_cache_is_bounded_and_keeps_what_is_live(made: Made, source: Path, tmp_path: Path) -> None:
    _, objects = made()
    model = (source / MODEL_FILE).read_bytes()
    several = tmp_path / "several"
    for version in (1, 2, 3):
        # Each another archive of the same size: what is loaded of it does not matter here.
        shutil.copytree(source, several / str(version))
        content = model[:-1] + bytes([version])
        (several / str(version) / MODEL_FILE).write_bytes(content)
    cache = tmp_path / "cache"
    mirror = Mirror(objects, cache, at_most=2 * len(model))
    for version in (1, 2, 3):
        copy(objects, several / str(version), version, sha256=sha256(several / str(version)))
        assert mirror.follow() == {}
        assert mirror.store.current("digit") == version
        assert sum(path.stat().st_size for path in mirror.folder.glob("blobs/*")) <= 2 * len(model)
    assert mirror.store.versions("digit") == [2, 3]
    tight = Mirror(objects, tmp_path / "tight", at_most=len(model))
    assert tight.follow() == {}
    copy(objects, several / "1", 1, sha256=sha256(several / "1"))
    why = f"digit/1 is not brought: the cache of archives has no room for its {len(model)} bytes"
    assert tight.follow() == {"digit/current": why}
    assert tight.store.current("digit") == 3


def test_of_what_is_wanted_nothing_makes_room_for_another(made: Made, source: Path, tmp_path: Path) -> None:
    filesystem, objects = made(Counted)

    def publish(name: str, version: int, size: int = 1000) -> None:
        folder = tmp_path / f"{name}-{version}"
        shutil.copytree(source, folder)
        (folder / MODEL_FILE).write_bytes(f"{name}{version}".encode().ljust(size))
        copy(objects, folder, version, name, sha256=sha256(folder), size_bytes=size)

    for name in ("aa", "bb"):
        publish(name, 1)
        publish(name, 2)
    mirror = Mirror(objects, tmp_path / "cache", at_most=3000)
    no_room = "{} is not brought: the cache of archives has no room for its {} bytes"
    for _ in range(3):
        assert mirror.follow(keep=2) == {"bb/1": no_room.format("bb/1", 1000)}
        assert [mirror.store.versions(name) for name in ("aa", "bb")] == [[1, 2], [2]]
    assert filesystem.reads == 3
    # What is live comes in the place of what is kept beside it, if that is enough.
    publish("bb", 3, 2001)
    for _ in range(2):
        assert (mirror.follow(keep=2) or {})["bb/current"] == no_room.format("bb/3", 2001)
    assert filesystem.reads == 3
    publish("bb", 4)
    for _ in range(2):
        assert mirror.follow(keep=2) == {"bb/3": no_room.format("bb/3", 2001)}
        assert [mirror.store.versions(name) for name in ("aa", "bb")] == [[1, 2], [4]]
    assert (filesystem.reads, mirror.store.current("bb")) == (5, 4)


class Counted(MemoryFileSystem):  # type: ignore[misc]
    """How often anything was asked for or read, and how often archives were read."""

    cachable = False
    asked = reads = 0

    def ls(self, path: str, *arguments: Any, **options: Any) -> Any:
        self.asked += 1
        return super().ls(path, *arguments, **options)

    def cat_file(self, path: str, *arguments: Any, **options: Any) -> Any:
        self.asked += 1
        self.reads += path.endswith(MODEL_FILE)
        return super().cat_file(path, *arguments, **options)


def test_what_the_disk_has_no_room_for_is_not_downloaded(made: Made, source: Path, tmp_path: Path) -> None:
    filesystem, objects = made(Counted)

    def publish(version: int, size: int = 1_000_000) -> None:
        folder = tmp_path / str(version)
        folder.mkdir()
        shutil.copy(source / MANIFEST_FILE, folder)
        (folder / MODEL_FILE).write_bytes(bytes([version]) * size)
        copy(objects, folder, version, sha256=sha256(folder), size_bytes=size)

    with small_disk(tmp_path / "disk", "3m") as disk:
        mirror = Mirror(objects, disk)
        publish(1)
        assert mirror.follow() == {}
        publish(2, 1000)
        assert mirror.follow() == {}
        (disk / "ballast").write_bytes(bytes(1_500_000))
        publish(3)  # in the place of the first, which nothing names any longer
        assert (mirror.follow(), mirror.store.versions("digit")) == ({}, [2, 3])
        publish(4)
        (disk / "ballast").write_bytes(bytes(1_700_000))
        read = filesystem.reads
        for _ in range(2):
            told = mirror.follow()
            assert told
            assert "digit/4 is not brought: the cache of archives has no room " in told["digit/current"]
        assert (filesystem.reads, mirror.store.current("digit")) == (read, 3)
        fill(disk)
        with pytest.raises(OSError, match=rf"No space left on device: '{disk}/"):
            mirror.follow()
        assert (filesystem.reads, mirror.store.current("digit")) == (read, 3)
        (disk / "ballast").unlink()
        assert (mirror.follow(), mirror.store.current("digit")) == ({}, 4)


def test_what_cannot_be_compared_is_not_overwritten(made: Made, source: Path, tmp_path: Path) -> None:
    _, objects = made()
    store = RemoteStore(Mirror(objects, tmp_path))
    for version in (1, 2):
        store.place(stage(tmp_path, source, version), "digit", version)
    store.activate("digit", 1)  # there was none
    with pytest.raises(StoreUnreachable, match="no way to replace it only if nobody else did"):
        store.activate("digit", 2)
    assert store.current("digit") == 1
    assert store.next_version("digit") == 3


def test_a_store_without_conditional_writes_is_not_published_into(
    made: Made, source: Path, tmp_path: Path
) -> None:
    _, objects = made(Unconditional)
    store = RemoteStore(Mirror(objects, tmp_path))
    with pytest.raises(StoreUnreachable, match="has no conditional writes, and is not published into"):
        store.place(stage(tmp_path, source, 1), "digit", 1)
    assert store.versions("digit") == []


def test_a_signature_that_comes_later_is_brought(made: Made, source: Path, tmp_path: Path) -> None:
    _, objects = made(Comparing, "s3")
    store, mirror = RemoteStore(Mirror(objects, tmp_path)), Mirror(objects, tmp_path / "service")
    store.place(stage(tmp_path, source, 1), "digit", 1)
    store.activate("digit", 1)
    assert mirror.follow() == {}
    keys = []
    for name in ("one", "other"):
        private, public = make_keys()
        (tmp_path / f"{name}.pem").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(public)
        keys.append(SigningKey(tmp_path / f"{name}.pem"))
    assert sign_published(store, "digit", 1, keys[0])
    assert not sign_published(store, "digit", 1, keys[0])
    with pytest.raises(ArtifactError, match="has another signature already"):
        sign_published(store, "digit", 1, keys[1])
    assert sign_published(store, "digit", 1, keys[1], replace=True)
    assert mirror.follow() == {}
    folder = mirror.store.folder("digit", 1)
    TrustedKeys(tmp_path / "other.pub").verify(folder, (folder / MANIFEST_FILE).read_bytes())
    assert (folder / SIGNATURE_FILE).exists()


def test_labels_come_and_go(made: Made, source: Path, tmp_path: Path) -> None:
    _, objects = made(Comparing, "s3")
    store, mirror = RemoteStore(Mirror(objects, tmp_path)), Mirror(objects, tmp_path / "service")
    for version in (1, 2):
        store.place(stage(tmp_path, source, version), "digit", version)
    store.activate("digit", 1)
    store.label("digit", 2, "canary")
    assert mirror.follow() == {}
    assert mirror.store.labels("digit") == store.labels("digit") == {"canary": 2}
    with pytest.raises(ArtifactError, match="digit/7 has no manifest"):
        store.activate("digit", 7)
    store.unlabel("digit", "canary")
    assert mirror.follow() == {}
    assert mirror.store.labels("digit") == {}


def test_current_that_is_written_again_is_written_here_again(
    made: Made, source: Path, tmp_path: Path
) -> None:
    """With the same number, and so in S3 with the same ETag."""
    filesystem, objects = made(Comparing, "s3")
    copy(objects, source)
    mirror = Mirror(objects, tmp_path / "cache")
    assert mirror.follow() == {}
    first = mirror.store.look("digit").written
    assert Mirror(objects, tmp_path / "cache").follow() == {}
    assert mirror.store.look("digit").written == first
    filesystem.pipe_file(f"{tmp_path.name}/digit/{CURRENT_FILE}", b"1\n")
    assert mirror.follow() == {}
    again = mirror.store.look("digit").written
    assert again != first
    assert mirror.follow() == {}
    assert mirror.store.look("digit").written == again


def test_a_label_that_cannot_be_had_keeps_no_version_from_going_live(
    made: Made, source: Path, tmp_path: Path
) -> None:
    _, objects = made(Comparing, "s3")
    store, mirror = RemoteStore(Mirror(objects, tmp_path)), Mirror(objects, tmp_path / "service")
    for version in (1, 2):
        store.place(stage(tmp_path, source, version), "digit", version)
    store.activate("digit", 1)
    assert mirror.follow() == {}
    objects.create("digit/canary", b"none")
    objects.create("digit/stable", b"9")
    store.activate("digit", 2)
    told = mirror.follow() or {}
    assert sorted(told) == ["digit/canary", "digit/stable"]
    assert "digit/9" in told["digit/stable"]
    assert (mirror.store.current("digit"), mirror.store.labels("digit")) == (2, {})


def test_a_lost_race_is_said(made: Made, source: Path, tmp_path: Path) -> None:
    _, objects = made(Comparing, "s3")
    one, other = (RemoteStore(Mirror(objects, tmp_path / name)) for name in ("one", "other"))
    for version in (1, 2):
        one.place(stage(tmp_path, source, version), "digit", version)
    with pytest.raises(ArtifactError):
        one.current("digit")
    other.activate("digit", 1)
    other.activate("digit", 1)
    assert one.current("digit") == 1
    other.activate("digit", 2)
    with pytest.raises(LostRace, match="digit/current was written by another meanwhile"):
        one.activate("digit", 1)
    assert one.current("digit") == 2


def test_a_store_that_refuses_is_found_out_before_a_training(made: Made, tmp_path: Path) -> None:
    _, objects = made(Refusing)
    store = RemoteStore(Mirror(objects, tmp_path))
    with pytest.raises(StoreUnreachable, match="cannot be reached: Access Denied"):
        check_publishable("digit", store, 1)


def test_a_cache_that_cannot_be_looked_into_is_told_and_ends_no_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def start() -> None:
        async with Mirroring(settings).kept():
            pass

    settings = Settings(artifacts="s3://bucket/models", artifacts_cache=tmp_path / ("x" * 300))
    asyncio.run(start())
    assert "the cache of the store cannot be written: File name too long" in caplog.text


def test_a_bucket_that_is_not_there_is_no_empty_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_server(tmp_path) as server:
        server.use(monkeypatch)
        assert list(Objects(f"s3://{BUCKET}/empty").folders()) == []
        listed = CliRunner().invoke(cli, ["list", "--artifacts", "s3://nowhere/models"])
        cache = ("--artifacts-cache", str(tmp_path / "cache"))
        computed = explained("s3://nowhere/models", *cache)
        with served("--artifacts", "s3://nowhere/models", *cache) as service:
            ready = service.client.get("/health/ready")
    why = "s3://nowhere/models cannot be reached: The specified bucket does not exist"
    assert listed.exit_code == 1
    assert why in listed.output
    assert (computed.returncode, computed.stderr) == (1, f"Error: the store cannot be read: {why}\n")
    assert ready.status_code == 503
    assert why in ready.json()["errors"][0]["message"]


def test_how_models_of_a_bucket_are_computed_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_server(tmp_path) as server:
        server.use(monkeypatch)
        url, cache = f"s3://{BUCKET}/models", ("--artifacts-cache", str(tmp_path / "cache"))
        empty = explained(url, *cache)
        store = RemoteStore(Mirror(Objects(url), tmp_path / "publisher"))
        store.place(stage(tmp_path, source, 1), "digit", 1)
        store.activate("digit", 1)
        told = explained(url, *cache)
    assert (empty.returncode, empty.stderr) == (0, f"no model is published in {url}\n")
    assert told.returncode == 0, told.stderr
    assert "digit/1: " in told.stdout


def explained(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "--artifacts", url, "--explain-engine", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
