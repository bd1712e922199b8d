"""Loading: a version that is altered, broken or answers wrongly must stay out."""

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from service.artifacts.manifest import ArtifactError
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine import predictor
from service.engine.devices import resolve_device
from service.engine.loading import HALF_TOLERANCE, load, prepared, read
from service.engine.predictor import BATCH_SIZES, Choice, Predictor
from service.engine.quickest import FIRST_CALLS, TIMED_CALLS, by_size, quickest, timed
from service.engine.ways import exact_ways, torchscript_accepted
from service.errors import DeviceUnavailable, InferenceFailed
from tests.conftest import BASELINE, COMMITTED, CPU, Digits
from training.digits.digit_nets import DigitNet, softmax_mlp
from training.publishing.archive import script

LIVE = COMMITTED / "digit" / str(ArtifactStore(COMMITTED).current("digit"))


@pytest.fixture
def version(published: Path, tmp_path: Path) -> Path:
    """A copy of a published digit version, to be spoiled."""
    return Path(shutil.copytree(published / "digit" / "1", tmp_path / "digit" / "1"))


def replace_model(version: Path, model: bytes) -> None:
    """Exchange the archive and make the manifest's size and hash agree with it."""
    (version / "model.pt").write_bytes(model)
    path = version / "manifest.json"
    document = json.loads(path.read_text())
    document |= {"size_bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(("side", "names"), [(4, {"plain", "optimized"}), (5, {"plain"})])
def test_what_onednn_cannot_compute_is_computed_without_it(side: int, names: set[str]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()
    row = torch.rand(1, 1, side, side)
    with torchscript_accepted(), torch.inference_mode():
        ways = exact_ways(script(net), CPU, row, several=True)
        assert {way.name for way in ways} == names
        for way in ways:
            torch.testing.assert_close(way.run(row), net(row))


def test_a_sound_version_answers(version: Path, digits: Digits) -> None:
    rows = torch.from_numpy(digits.images_u8[:7]).unsqueeze(1)
    answers = load(version, CPU).predict(rows)
    assert answers.shape == (7, 10)
    assert answers.dtype == torch.float32
    torch.testing.assert_close(answers.sum(1), torch.ones(7))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda model: model[: len(model) // 2],
        lambda model: model[:1000] + bytes([model[1000] ^ 1]) + model[1001:],
    ],
    ids=["empty", "truncated", "one bit flipped"],
)
def test_an_altered_archive_is_refused(version: Path, spoil: Callable[[bytes], bytes]) -> None:
    model = (version / "model.pt").read_bytes()
    (version / "model.pt").write_bytes(spoil(model))
    with pytest.raises(ArtifactError, match=r"digit/1/model\.pt"):
        load(version, CPU)


def test_what_is_no_archive_is_refused_even_with_the_right_hash(version: Path) -> None:
    replace_model(version, b"PK\x03\x04 not really")
    with pytest.raises(ArtifactError, match="not a TorchScript archive"):
        load(version, CPU)


def test_other_weights_are_refused_by_the_replayed_check(version: Path) -> None:
    torch.manual_seed(1)
    replace_model(version, script(DigitNet(softmax_mlp()).eval()))
    with pytest.raises(ArtifactError, match="answers differ from training's"):
        load(version, CPU)


def test_nan_weights_are_refused(version: Path) -> None:
    net = DigitNet(softmax_mlp()).eval()
    nn.init.constant_(next(net.parameters()), torch.nan)
    replace_model(version, script(net))
    with pytest.raises(ArtifactError, match="fails on its own check"):
        load(version, CPU)


class ForgetsARow(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros(images.size(0) - 1, 10)


class Fails(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.reshape(3, -1)


class Asserts(nn.Module):
    """Of what TorchScript raises for it, torch.jit.Error, RuntimeError is no base."""

    def forward(self, images: Tensor) -> Tensor:
        assert images.size(0) != 10, f"other than ten pictures, not {images.size(0)}"
        return images.flatten(1)[:, :10].float()


class AssertsInSilence(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        assert images.size(0) != 10
        return images.flatten(1)[:, :10].float()


class Raises(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        if images.size(0) == 10:
            raise ValueError("ten pictures")
        return images.flatten(1)[:, :10].float()


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (ForgetsARow(), r"its own check: model answered \[9, 10\]"),
        (Fails(), r"its own check: shape '\[3, -1\]' is invalid"),
        (Asserts(), "its own check: AssertionError: other than ten pictures, not 10$"),
        (AssertsInSilence(), "its own check: AssertionError$"),
        (Raises(), "its own check: ten pictures$"),
    ],
)
def test_a_model_that_fails_or_miscounts_is_refused(version: Path, net: nn.Module, why: str) -> None:
    replace_model(version, script(net))
    with pytest.raises(ArtifactError, match=why):
        load(version, CPU)


@pytest.mark.parametrize(
    "rows",
    [
        torch.zeros(2, 1, 28, 28),
        torch.zeros(2, 28, 28, dtype=torch.uint8),
        torch.zeros(2, 1, 32, 32, dtype=torch.uint8),
    ],
    ids=["dtype", "dimensions", "size"],
)
def test_rows_of_another_form_are_refused(version: Path, rows: Tensor) -> None:
    with pytest.raises(InferenceFailed):
        load(version, CPU).predict(rows)


def test_devices() -> None:
    assert resolve_device("cpu") == CPU
    count = torch.cuda.device_count()
    assert resolve_device("auto").type == ("cuda" if count else "cpu")
    with pytest.raises(DeviceUnavailable, match=rf"'cuda:{count}' .* {count} usable CUDA"):
        resolve_device(f"cuda:{count}")


def test_the_optimising_executor_is_off_while_a_model_runs(version: Path) -> None:
    """It would compile anew on the second and third call with every batch size, for 50 to 250 ms."""
    real = load(version, CPU)
    seen: list[bool] = []

    def run(rows: Tensor) -> Tensor:
        seen.append(torch._C._get_graph_executor_optimize())
        return real._run(rows)

    Predictor(run, real.manifest, CPU).predict(torch.zeros(3, 1, 28, 28, dtype=torch.uint8))
    assert seen == [False]
    assert torch._C._get_graph_executor_optimize()  # and on again for whoever comes next


def test_gradients_are_as_they_were_on_every_thread_that_answered(version: Path) -> None:
    """Two models that are answering at once, each on a thread, restore what each found."""
    answering = threading.Barrier(2)

    def run(rows: Tensor) -> Tensor:
        answering.wait(timeout=60)  # now both are
        return torch.zeros(len(rows), 10)

    manifest = read_manifest(version)

    def answer() -> tuple[bool, bool]:
        predictor = Predictor(run, manifest, CPU)
        for _ in range(20):
            predictor.predict(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
        return torch.is_inference_mode_enabled(), torch.ones(1, requires_grad=True).mul(2).requires_grad

    with ThreadPoolExecutor(1) as other:
        there, here = other.submit(answer), answer()
    assert here == there.result() == (False, True)


def test_half_precision_stays_near_and_decides_alike(digits: Digits) -> None:
    rows = torch.from_numpy(digits.images_u8).unsqueeze(1)
    for folder in (BASELINE, LIVE):
        exact = load(folder, CPU).predict(rows)[:, :10]
        half = load(folder, CPU, "bfloat16").predict(rows)[:, :10]
        assert half.dtype == torch.float32
        assert 0 < (half - exact).abs().max() < HALF_TOLERANCE
        assert (half.argmax(1) == exact.argmax(1)).float().mean() > 0.99


def test_a_row_alone_is_answered_as_in_a_batch(digits: Digits) -> None:
    """Alone it may take another way through a convolutional net, where that is quicker."""
    rows = torch.from_numpy(digits.images_u8[:20]).unsqueeze(1)
    predictor = load(LIVE, CPU)
    together = predictor.predict(rows)
    alone = torch.cat([predictor.predict(row) for row in rows.split(1)])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("folder", [BASELINE, LIVE], ids=["softmax-mlp", "live"])
def test_whichever_way_a_batch_goes_the_archive_s_answers_come(digits: Digits, folder: Path) -> None:
    predictor = load(folder, CPU)
    rows = torch.from_numpy(digits.images_u8[:65]).unsqueeze(1)
    with torch.inference_mode(), torchscript_accepted():
        expected = torch.jit.load(folder / "model.pt").eval()(rows)
    for size in (1, 2, 3, 8, 9, 33, 64, 65):
        torch.testing.assert_close(predictor.predict(rows[:size]), expected[:size], atol=1e-5, rtol=0)


def test_each_batch_size_takes_the_quickest_way() -> None:
    def way(slow_rows: range) -> Callable[[Tensor], Tensor]:
        def call(rows: Tensor) -> Tensor:
            if len(rows) in slow_rows:
                time.sleep(0.002)
            return rows.new_tensor(slow_rows.start)

        return call

    alone, batches = way(range(2, 1000)), way(range(1, 2))
    ways = [alone, batches]
    timings = timed(ways, torch.zeros(1, 1), BATCH_SIZES)
    call = by_size(ways, quickest(timings, [False, False]))
    assert [call(torch.zeros(n, 1)).item() for n in (1, 2, 9, 64, 500)] == [2, 1, 1, 1, 1]


def test_what_is_far_behind_is_called_twice_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.quickest.ENOUGH_S", 60)
    calls = [0, 0]

    def call(way: int, slow: bool) -> Callable[[Tensor], Tensor]:
        def called(rows: Tensor) -> Tensor:
            calls[way] += 1
            if slow:
                time.sleep(0.02)
            return rows

        return called

    (timing,) = timed([call(0, slow=True), call(1, slow=False)], torch.zeros(1, 1), [1])
    assert calls == [FIRST_CALLS, TIMED_CALLS]
    assert timing.seconds[0] >= 0.02


def test_batches_larger_than_a_long_one_are_computed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.quickest.LONG_S", 0)

    def slow(rows: Tensor) -> Tensor:
        time.sleep(0.01)
        return rows

    timings = timed([lambda rows: rows, slow], torch.zeros(1, 1), BATCH_SIZES)
    assert [timing.rows for timing in timings] == [1]
    assert quickest(timings, [False, False]) == (0, 0)


def test_what_another_process_has_chosen_is_gone_by(version: Path, digits: Digits) -> None:
    rows = torch.from_numpy(digits.images_u8[:3])[:, None]
    rest = prepared(read(version), CPU)
    own = rest(None)
    assert own.choice
    assert (own.choice.quick, own.choice.slow_rows) == (own.quick, None)
    assert len(own.choice.ways) == BATCH_SIZES[-1] + 1
    choice = Choice((0, 1, 1), False, 7)
    other = rest(choice)
    assert (other.quick, other.slow_rows, other.choice) == (False, 7, choice)
    assert torch.allclose(other.predict(rows), own.predict(rows), atol=1e-5)


@pytest.mark.parametrize("rows", [1, 64])
def test_a_probability_that_is_rounded_beyond_1_is_1(version: Path, rows: int) -> None:
    real, answers = load(version, CPU), torch.zeros(rows, 10)
    answers[:, 0], answers[-1, 1] = 1 + 2**-23, -(2**-30)
    rounded = Predictor(lambda _: answers, real.manifest, CPU)
    outputs = rounded.answer(torch.zeros(rows, 1, 28, 28, dtype=torch.uint8))
    assert (outputs.min(), outputs.max()) == (0, 1)
    answers[0, 2] = 2  # which is not for rounding
    assert rounded.answer(torch.zeros(rows, 1, 28, 28, dtype=torch.uint8)).max() == 2


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_an_answer_that_is_no_number_fails(version: Path, rows: int, number: float) -> None:
    real, answers = load(version, CPU), torch.zeros(rows, 10)
    answers[-1, -1] = number
    broken = Predictor(lambda _: answers, real.manifest, CPU)
    with pytest.raises(InferenceFailed, match="finite"):
        broken.predict(torch.zeros(rows, 1, 28, 28, dtype=torch.uint8))


def test_answers_outlive_the_next_batch(version: Path) -> None:
    """A model may answer with memory that it writes to again."""
    real, memory = load(version, CPU), torch.empty(1, 10)
    levels = iter((0.25, 0.75))
    reusing = Predictor(lambda _: memory.fill_(next(levels)), real.manifest, CPU)
    rows = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    first, second = reusing.answer(rows), reusing.answer(rows)
    assert first.tolist() == [[0.25] * 10]
    assert second.tolist() == [[0.75] * 10]


@pytest.mark.parametrize(
    ("fixed", "each", "sizes", "slow_rows"),
    [
        (0, 0.0001, [1, 2, 4, 8, 16, 32, 64], None),
        (0, 0.01, [1, 2, 4, 8], None),
        (0, 0.02, [1, 2, 4, 8, 16, 32, 64], 64),
        (0.1, 0.0001, [1, 2, 4, 8], None),
        (0.6, 0.01, [1, 2, 4, 8, 16, 32, 64], 64),
        (1.5, 0, [1], 1),
    ],
)
def test_no_batch_is_run_at_the_start_that_could_show_nothing(
    fixed: float,
    each: float,
    sizes: list[int],
    slow_rows: int | None,
    version: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = list[int]()

    def seconds(_: object, batch: Tensor, __: int) -> float:
        run.append(len(batch))
        return fixed + each * len(batch)

    monkeypatch.setattr(predictor, "seconds_of", seconds)
    started = Predictor(lambda rows: rows, load(version, CPU).manifest, CPU)
    run.clear()
    started.warm_up()
    assert (run, started.slow_rows, started.quick) == (sizes, slow_rows, False)


def test_a_slow_model_is_given_no_larger_batches_than_others_can_wait_for(
    version: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = torch.from_numpy(digits.images_u8[:64])[:, None]
    usual = load(version, CPU)
    assert usual.slow_rows is None
    monkeypatch.setattr(predictor, "SLOW_S", 0)  # every batch is slow
    slow = load(version, CPU)
    assert (slow.slow_rows, slow.quick) == (1, False)
    assert torch.allclose(slow.predict(rows), usual.predict(rows), atol=1e-5)  # and yet any are answered
