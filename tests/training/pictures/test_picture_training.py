"""The picture recipe: what it computes, and the command from a folder to an archive that is served."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import pad
from torchvision.datasets import CIFAR10
from typer.testing import CliRunner, Result

from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine.loading import load
from service.engine.tensors import decode_tensor
from service.pictures.fitting import Fit
from service.pictures.images import find, open_picture
from tests.conftest import CPU, QUIET
from tests.training.pictures.conftest import COLOURS, picture, write, zipped
from training.commands import cli
from training.data import Rows
from training.evaluation.calibration import LOWEST_TEMPERATURE, fit_temperature
from training.fitting import checkpoint as checkpoint_module
from training.fitting.checkpoint import Checkpoint, CheckpointUnusable
from training.fitting.learner import Hyperparameters, Learner
from training.pictures.picture_archive import StoredPictureNet
from training.pictures.picture_augment import CUT, GREY, SHIFT, flip_shift_and_cut, shift_and_cut
from training.pictures.picture_data import load_pictures
from training.pictures.picture_net import PictureNet, picture_net
from training.pictures.picture_recipe import HYPERPARAMETERS, hyperparameters
from training.pictures.picture_training import fitted

pytestmark = pytest.mark.usefixtures("one_thread")

LARGEST_ARCHIVE = 3_000_000


def noise(count: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


def test_every_variation_is_the_picture_moved_and_perhaps_mirrored_and_a_square_of_it_is_grey() -> None:
    torch.manual_seed(0)
    image = noise(1)
    wide = pad(image.float(), (SHIFT,) * 4, mode="reflect").to(torch.uint8)[0]
    moves = range(2 * SHIFT + 1)
    possible = torch.stack(
        [part for y in moves for x in moves for part in mirrored(wide[:, y : y + 32, x : x + 32])]
    )
    for vary, step in ((flip_shift_and_cut, 1), (shift_and_cut, 2)):
        seen, sizes = set[int](), set[tuple[int, int]]()
        for varied in vary(image.expand(4_000, -1, -1, -1)):
            place = int((possible[:, 0] != varied[0]).sum((1, 2)).argmin())
            differ = (possible[place] != varied).any(0)
            rows, columns = differ.any(1).nonzero(), differ.any(0).nonzero()
            height, width = (int(found[-1] - found[0]) + 1 for found in (rows, columns))
            cut = varied[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert (cut == GREY).all()
            seen.add(place)
            sizes.add((height, width))
        assert seen == set(range(0, 2 * len(moves) ** 2, step))
        assert max(sizes) == (CUT, CUT)
        assert (
            {height for height, _ in sizes}
            == {width for _, width in sizes}
            == set(range(CUT // 2, CUT + 1))
        )


def mirrored(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return part, part.flip(2)


def test_the_first_layer_whitens() -> None:
    images = noise(50).float()
    images = (0.7 * images + 0.3 * images.roll(1, 3)).to(torch.uint8)  # neighbours are alike
    net = picture_net(images, 10)
    whitening = net.body.get_submodule("0")
    with torch.inference_mode():
        found = whitening(net.normalize(images))[:, :12].permute(1, 0, 2, 3).flatten(1)
    assert found @ found.T / found.shape[1] == pytest.approx(torch.eye(12), abs=0.05)


def fitted_a_little() -> PictureNet:
    torch.manual_seed(3)
    net = picture_net(noise(64), 5).train()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias, std=0.3)
    second = net.body.get_submodule("2.second")
    assert isinstance(second, nn.Conv2d)
    nn.init.zeros_(second.weight[0])  # a channel that nothing was learnt of
    for _ in range(5):
        net(noise(64))
    return net.eval()


@pytest.mark.parametrize("mirror", [False, True])
def test_what_is_stored_answers_as_the_net_does(mirror: bool) -> None:
    net, images = fitted_a_little(), noise(40)
    net.temperature.fill_(0.03)  # so that small differences of logits show
    with torch.inference_mode():
        logits = (net.logits(images) + net.logits(images.flip(3))) / 2 if mirror else net.logits(images)
        expected = torch.softmax(logits / net.temperature, dim=1)
        found = StoredPictureNet(net, mirror)(images)
        other = StoredPictureNet(net, not mirror)(images)
    assert (expected - found).abs().max() < 2e-2  # of 8 bits a weight
    assert (expected - other).abs().max() > 1e-1


def test_biases_learn_faster_and_decay_as_fast() -> None:
    hp = Hyperparameters(epochs=1, batch_size=1, learning_rate=0.1, weight_decay=0.01, bias_scale=64)
    net, plain = nn.Linear(3, 1), nn.Linear(3, 1)
    plain.load_state_dict(net.state_dict())
    before = net.bias.item()
    for learning, scale in ((net, 64.0), (plain, 1.0)):
        learner = Learner(learning, Hyperparameters(**{**hp.as_dict(), "bias_scale": scale}), 10)  # type: ignore[arg-type]
        learner.step(learning(torch.ones(1, 3)).sum())
    assert torch.equal(net.weight, plain.weight)
    decay = 0.1 * 0.01 * before
    assert net.bias.item() == pytest.approx(before - 64 * 0.1 - decay, abs=1e-5)
    assert plain.bias.item() == pytest.approx(before - 0.1 - decay, abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"), [(47_500, 512, 40), (2_000, 31, 40), (100, 16, 43), (5, 16, 300)]
)
def test_few_pictures_are_learnt_from_in_small_batches(rows: int, batch: int, epochs: int) -> None:
    hp = hyperparameters(rows, None)
    assert (hp.batch_size, hp.epochs) == (batch, epochs)
    assert hp.learning_rate / hp.batch_size == pytest.approx(
        HYPERPARAMETERS.learning_rate / HYPERPARAMETERS.batch_size
    )
    assert hp.average_decay == pytest.approx(min(0.995, 1 - 10 / (epochs * -(-rows // batch))))
    assert hyperparameters(rows, 7).epochs == 7
    assert hyperparameters(1, 1).average_decay == 0


def test_a_few_rows_that_are_all_right_do_not_make_it_certain() -> None:
    class Sure(nn.Module):
        temperature = torch.tensor(1.0)

        def logits(self, images: torch.Tensor) -> torch.Tensor:
            return images

    net = Sure()
    rows = Rows(torch.tensor([[5.0, 0.0], [0.0, 7.0]]), torch.tensor([0, 1]))
    assert LOWEST_TEMPERATURE <= fit_temperature(net, rows) < 1
    rows = Rows(torch.tensor([[0.5, 0.0], [0.0, 0.7]]), torch.tensor([0, 1]))
    assert fit_temperature(net, rows) == pytest.approx(LOWEST_TEMPERATURE)
    assert net.temperature.item() == pytest.approx(LOWEST_TEMPERATURE)


def train(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(
        cli, ["picture", "--out", str(folder), "--checkpoints", str(folder / "runs"), *options]
    )


def test_from_a_folder_to_what_is_served(tmp_path: Path) -> None:
    pictures = write(tmp_path / "colours", count=12)
    (pictures / "red" / "broken.png").write_bytes(b"no picture")
    archive = zipped(pictures, tmp_path / "colours.zip")
    options = ("--name", "colour", "--data", str(archive), "--epochs", "30", "--device", "cpu")
    result = train(tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert "left out: red/broken.png" in result.stderr
    assert "3 classes of pictures; 30 to train and 3 to validate and 3 to test with" in result.stdout
    folder = ArtifactStore(tmp_path).folder("colour", 1)
    manifest = read_manifest(folder)
    assert json.loads((folder / "manifest.json").read_text())["schema_version"] == 2
    assert (manifest.kind, manifest.output.kind) == ("picture", "classes")
    assert manifest.output.labels == tuple(COLOURS)
    assert manifest.input.row_shape == (3, 32, 32)
    assert manifest.size_bytes <= LARGEST_ARCHIVE
    assert manifest.metric("accuracy", "test").value == 1
    assert ArtifactStore(tmp_path).current("colour") == 1
    predictor = load(folder, CPU)
    for place, label in enumerate(COLOURS):
        opened = open_picture(picture(label, 500, 90, 70), 10_000)
        row = torch.frombuffer(bytearray(find(opened, Fit(32, 32, 3, "crop")).pixels), dtype=torch.uint8)
        answer = predictor.predict(row.view(1, 3, 32, 32))
        assert answer.sum().item() == pytest.approx(1, abs=1e-5)
        assert answer.argmax().item() == place
    for place, row in enumerate(decode_tensor(manifest.check.inputs)):
        opened = open_picture((folder / f"samples/{place}.png").read_bytes(), 10_000)
        assert find(opened, Fit(32, 32, 3, "crop")).pixels == row.numpy().tobytes()
    card = (folder / "report/report.md").read_text()
    assert "3 classes" in card
    assert "1 files were left out" in card
    pages = {path.name for path in (folder / "report").iterdir()} - {"report.md"}
    assert pages == {"curves.png", "confusion.png", "mistakes.png", "reliability.png"}
    assert all(f"({name})" in card for name in pages)


class Stopped(Exception):
    """What ends a fit here."""


class StopsAfterOne(Checkpoint):
    """Ends the fit once it has kept an epoch."""

    def keep(self, done: int, epochs: int, state: Callable[[], dict[str, Any]]) -> None:
        super().keep(done, epochs, state)
        raise Stopped


def fitted_weights(folder: Path, seed: int, checkpoint: Checkpoint | None) -> torch.Tensor:
    data, hp = load_pictures(folder, 32, QUIET), hyperparameters(24, 3)
    net, _ = fitted("object", data, hp, QUIET, mirror=True, seed=seed, device=CPU, checkpoint=checkpoint)
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


def test_what_is_resumed_equals_what_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "SHARE_OF_TIME", 1e9)  # every epoch is kept
    folder, runs = write(tmp_path / "colours"), tmp_path / "runs"
    stopping = StopsAfterOne(runs, resume=False, tell=str)
    stopping.check("object", required=True)
    with pytest.raises(Stopped):
        fitted_weights(folder, 4, stopping)
    with pytest.raises(CheckpointUnusable, match="seed 4 there and 5 here"):
        fitted_weights(folder, 5, Checkpoint(runs, resume=True, tell=str))
    told: list[str] = []
    resumed = fitted_weights(folder, 4, Checkpoint(runs, resume=True, tell=told.append))
    assert "going on after epoch 1 of 3" in told[0]
    assert torch.equal(resumed, fitted_weights(folder, 4, None))
    assert not torch.equal(resumed, fitted_weights(folder, 5, None)), "the control: another seed"


@pytest.mark.parametrize("name", ["Object", "digit", "pass", "a/b", "-x", "", "ü", "x" * 64])
def test_a_name_that_no_model_of_pictures_can_have_is_refused(tmp_path: Path, name: str) -> None:
    result = train(tmp_path, "--name", name, "--data", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --name ")
    assert len(result.stderr.splitlines()) == 1


def test_cifar10_is_downloaded_to_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/")  # the discard port: nobody answers
    monkeypatch.setenv("TRAINING_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)  # where `data` would be made
    result = train(tmp_path)
    assert result.exit_code == 2
    assert f"CIFAR-10 under {tmp_path / 'data'} cannot be had" in result.stderr


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = train(tmp_path, "--data", str(tmp_path / "absent"))
    assert result.exit_code == 2
    assert "absent is neither a folder nor a .zip" in result.stderr
