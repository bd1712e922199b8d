"""Any folder of pictures, or .zip of it, becomes the same rows; what is damaged is left out and named."""

import hashlib
import pickle
import signal
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from service.pictures.fitting import Fit
from tests.conftest import QUIET, png
from tests.training.pictures.conftest import A_CLASS, COLOURS, picture, write, zipped
from training.data import DataUnavailable
from training.fitting.interruption import Interrupted
from training.pictures import picture_data
from training.pictures.picture_data import PictureData, load_pictures
from training.pictures.picture_files import PictureFile

pytestmark = pytest.mark.usefixtures("one_thread")

SPLIT_WORDS = [("train", "val", "test"), ("training", "validation", "testing"), ("Train", "VALID", "Test")]


def loaded(data: Path) -> PictureData:
    return load_pictures(data, 32, QUIET)


def counts(data: PictureData) -> list[list[int]]:
    return [torch.bincount(rows.targets, minlength=len(data.labels)).tolist() for _, rows in data.uses()]


def test_a_folder_without_splits_is_split_within_each_class(tmp_path: Path) -> None:
    data = loaded(write(tmp_path / "flowers", count=40))
    assert data.labels == ("blue", "green", "red")
    assert counts(data) == [[34] * 3, [2] * 3, [4] * 3]
    everything = torch.cat([rows.inputs for _, rows in data.uses()])
    assert len(torch.unique(everything.flatten(1), dim=0)) == 120, "no picture is in two splits"
    for _, rows in data.uses():
        colours = torch.tensor([COLOURS[data.labels[place]] for place in rows.targets])
        assert (rows.inputs.double().mean((2, 3)) - colours).abs().max() < 10
    assert loaded(tmp_path / "flowers").sha256() == data.sha256()


@pytest.mark.parametrize("words", SPLIT_WORDS, ids="-".join)
def test_the_splits_of_a_folder_are_kept(tmp_path: Path, words: tuple[str, ...]) -> None:
    data = loaded(write(tmp_path, *words, count=2))
    for place, (_, rows) in enumerate(data.uses()):
        first = np.asarray(Image.open(BytesIO(picture("blue", 100 * place)))).transpose(2, 0, 1)
        assert np.array_equal(rows.inputs[0].numpy(), first)
        assert rows.targets.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_split_that_is_not_there_is_drawn_from_what_is_trained_on(tmp_path: Path) -> None:
    assert counts(loaded(write(tmp_path, "train", "test"))) == [[9] * 3, [1] * 3, [10] * 3]


def test_a_zip_reads_as_the_folder_that_it_holds(tmp_path: Path) -> None:
    folder = write(tmp_path / "flowers", "train", "test", count=4)
    expected = loaded(folder).sha256()
    assert loaded(zipped(folder, tmp_path / "flat.zip")).sha256() == expected
    assert loaded(zipped(tmp_path, tmp_path.parent / f"{tmp_path.name}.zip")).sha256() == expected
    archives = tmp_path / "archives"
    archives.mkdir()
    for split in ("train", "test"):  # the split is the archive's name alone
        zipped(folder / split, archives / f"{split}.zip")
    assert loaded(archives).sha256() == expected


def test_what_systems_leave_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    folder = write(tmp_path / "flowers")
    expected = loaded(folder).sha256()
    for name in ("README.txt", "loose.png", "red/Thumbs.db", "red/._001.png", ".cache/x/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture("red", 999))
    data = loaded(folder)
    assert (data.sha256(), data.skipped) == (expected, ())


def test_links_are_what_they_lead_to(tmp_path: Path) -> None:
    folder = write(tmp_path / "flowers")
    expected = loaded(folder).sha256()
    (folder / "red").rename(tmp_path / "red")
    (folder / "red").symlink_to(tmp_path / "red")
    assert loaded(folder).sha256() == expected
    (folder / "red" / "gone.png").symlink_to("nowhere.png")
    data = loaded(folder)
    assert data.sha256() == expected
    (skipped,) = data.skipped
    assert skipped.startswith("red/gone.png: ")


def test_pictures_of_any_kind_become_rows(tmp_path: Path) -> None:
    folder = write(tmp_path)
    grey = Image.fromarray(np.full((40, 60), 77, np.uint8))
    turned = Image.new("RGB", (60, 30), (255, 0, 0))
    turned.paste((0, 0, 255), (30, 0, 60, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # its left is its top, upright
    (folder / "red" / "zz-grey.png").write_bytes(png(grey))
    (folder / "red" / "zz-palette.gif").write_bytes(png(Image.new("P", (64, 64)), "GIF"))
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    clear.paste((210, 30, 40, 255), (8, 8, 24, 24))
    (folder / "red" / "zz-clear.png").write_bytes(png(clear))
    (folder / "red" / "zz-turned.jpg").write_bytes(png(turned, "JPEG", exif=exif, quality=95))
    data = loaded(folder)
    assert data.skipped == ()
    everything = torch.cat([rows.inputs for _, rows in data.uses()])
    assert len(everything) == 3 * A_CLASS + 4
    assert (everything == 77).all((1, 2, 3)).sum() == 1
    assert (everything[:, :, :4] == 255).all((1, 2, 3)).sum() == 1, (
        "what shows through is white, as when serving"
    )
    red, blue = everything[:, 0, :8].float().mean((1, 2)), everything[:, 2, -8:].float().mean((1, 2))
    assert ((red > 240) & (blue > 240) & (everything[:, 0, -8:].float().mean((1, 2)) < 15)).sum() == 1


def test_a_damaged_picture_is_left_out_and_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "flowers")
    (folder / "red" / "cut.png").write_bytes(picture("red", 50)[:200])
    (folder / "blue" / "empty.jpg").write_bytes(b"")
    (folder / "blue" / "page.png").write_bytes(b"<html>not found</html>")
    data = loaded(folder)
    assert sum(map(sum, counts(data))) == 3 * A_CLASS
    assert [line.split(":")[0] for line in data.skipped] == [
        "blue/empty.jpg",
        "blue/page.png",
        "red/cut.png",
    ]
    assert all(len(line.split(": ", 1)[1]) > 10 for line in data.skipped)


def test_pictures_of_no_class_in_the_folder_of_a_split_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "vehicles")
    expected = loaded(folder).sha256()
    (folder / "Train").mkdir()
    (folder / "Train" / "1.png").write_bytes(picture("red", 999))
    data = loaded(folder)
    assert (data.sha256(), data.labels) == (expected, tuple(COLOURS))
    assert data.skipped == ("Train/1.png: its folder names a split, and no class",)


def test_a_damaged_record_of_a_zip_is_left_out(tmp_path: Path) -> None:
    archive = zipped(write(tmp_path / "flowers"), tmp_path / "flowers.zip")
    content = bytearray(archive.read_bytes())
    content[content.index(picture("green", 3)) + 100] ^= 0xFF
    archive.write_bytes(content)
    assert [line.split(":")[0] for line in loaded(archive).skipped] == ["green/003.png"]


def test_an_interruption_does_not_wait_for_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def slowly(file: PictureFile, fit: Fit) -> str:
        begun.append(file.path)
        time.sleep(0.05)
        return f"not read at {fit.width}"

    def interrupted(results: Iterator[str], *_: object, **__: object) -> Iterator[str]:
        yield next(results)
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(picture_data, "_read", slowly)
    monkeypatch.setattr(picture_data, "track", interrupted)
    with pytest.raises(Interrupted):
        loaded(write(tmp_path, count=100))
    assert len(begun) < 150


def nothing(folder: Path) -> Path:
    return folder / "absent"


def no_zip(folder: Path) -> Path:
    (folder / "notes.zip").write_text("hello")
    return folder / "notes.zip"


def broken_zip_inside(folder: Path) -> Path:
    return no_zip(write(folder)).parent


def loose(folder: Path) -> Path:
    (folder / "1.png").write_bytes(picture("red", 1))
    return folder


def no_class(folder: Path) -> Path:
    (folder / "test").mkdir()
    return loose(folder / "test").parent


def one_class(folder: Path) -> Path:
    for number in range(5):
        (folder / "red").mkdir(exist_ok=True)
        (folder / "red" / f"{number}.png").write_bytes(picture("red", number))
    return folder


def too_few(folder: Path) -> Path:
    return write(folder, count=2)


def a_class_that_is_not_tested(folder: Path) -> Path:
    write(folder, "train", "test")
    (folder / "train" / "yellow").mkdir()
    for number in range(3):
        (folder / "train" / "yellow" / f"{number}.png").write_bytes(picture("red", 77 + number))
    return folder


def mostly_damaged(folder: Path) -> Path:
    for path in list(write(folder).rglob("*.png"))[3:]:
        path.write_bytes(b"nothing")
    return folder


def no_name(folder: Path) -> Path:
    return folder / ("x" * 300)


REFUSED = {
    nothing: "neither a folder nor a .zip",
    no_zip: "neither a folder nor a .zip",
    no_name: "cannot be read: File name too long",
    broken_zip_inside: "no .zip that can be read",
    loose: "no pictures in subfolders",
    no_class: "no pictures in subfolders",
    one_class: "1 classes (red)",
    too_few: "no picture of the class blue to train with",
    a_class_that_is_not_tested: "no picture of the class yellow to test with",
    mostly_damaged: "27 of the 30 pictures",
}


@pytest.mark.parametrize("made", REFUSED, ids=lambda made: made.__name__)
def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path, made: object) -> None:
    assert callable(made)
    with pytest.raises(DataUnavailable) as refused:
        loaded(made(tmp_path))
    assert REFUSED[made] in str(refused.value)


def cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's files in its own format, of 40 pictures a batch; torchvision is told their digests."""
    folder, digests = root / CIFAR10.base_folder, {}
    folder.mkdir()
    batches = ["data_batch_1", "test_batch"]
    for place, name in enumerate(batches):
        pixels = np.random.default_rng(place).integers(0, 256, (40, 3072), dtype=np.uint8)
        content = {"data": pixels, "labels": [n % 10 for n in range(40)]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {n}" for n in range(10)]}))
    digests = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(CIFAR10, "train_list", [(batches[0], digests[batches[0]])])
    monkeypatch.setattr(CIFAR10, "test_list", [(batches[1], digests[batches[1]])])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": digests["batches.meta"]})
    return root


def test_cifar10_as_torchvision_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = loaded(cifar10(tmp_path, monkeypatch))
    assert data.labels[3] == "class 3"
    assert counts(data) == [[3] * 10, [1] * 10, [4] * 10]
    pixels = np.random.default_rng(1).integers(0, 256, (40, 3072), dtype=np.uint8)
    assert np.array_equal(data.test.inputs.numpy(), pixels.reshape(40, 3, 32, 32))


def test_a_damaged_cifar10_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cifar10(tmp_path, monkeypatch) / CIFAR10.base_folder / "test_batch").write_bytes(b"")
    with pytest.raises(DataUnavailable, match="CIFAR-10 under"):
        loaded(tmp_path)
