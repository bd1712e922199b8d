"""The int8 form of a network: published where it is as good, and left out, with the reason, where not."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import pytest
import torch
from torch import nn

from service.artifacts.store import ArtifactStore
from service.engine.loading import load
from tests.conftest import BASELINE, CPU, Digits, mnist_rows
from tests.training.quantized_digits import baseline_net, publish_with_int8
from training.digits.detector import digit_quantization, fit_threshold, hands
from training.digits.digit_nets import DigitNet, KaimingMlp, RejectingDigitNet, cnn
from training.digits.digit_recipe import PROBABILITIES
from training.publishing import proof
from training.publishing.forms import Comparing, forms_of
from training.publishing.proof import FreshProcess, PublishFailed, fresh_process
from training.publishing.quantization import CannotQuantize, Quantization, quantized


@pytest.fixture(scope="module")
def process() -> Iterator[FreshProcess]:
    with fresh_process() as process:
        yield process


def test_without_torch_ao_float32_is_published_alone(
    tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.ao.quantization.quantize_fx", None)  # cannot be imported
    told = list[str]()
    manifest = publish_with_int8(tmp_path, digits, told)
    assert manifest.forms == ()
    assert "forms" not in (tmp_path / "digit" / "1" / "manifest.json").read_text()
    lacking = f"torch {torch.__version__} has no torch.ao.quantization"
    assert told[0] == f"there is no int8 form beside float32: {lacking}"
    rows = torch.from_numpy(digits.images_u8[:3])[:, None]
    answers = load(ArtifactStore(tmp_path).folder("digit", 1), CPU, "auto").predict(rows)
    torch.testing.assert_close(answers, load(BASELINE, CPU).predict(rows))


def test_what_is_as_good_is_stated_and_what_is_not_is_left_out(
    digits: Digits, process: FreshProcess
) -> None:
    rows, told = mnist_rows(digits).inputs, list[str]()
    comparing = Comparing(baseline_net(), rows[200:], PROBABILITIES, process)
    (made,) = forms_of(comparing, Quantization(rows[:200]), told.append)
    assert (made.form.name, made.form.rows) == ("int8", 300)
    assert made.form.decisions_changed <= 0.005
    assert told[-1].startswith("there is an int8 form beside float32: answers differ by at most 0.")
    assert forms_of(comparing, Quantization(torch.zeros_like(rows[:10])), told.append) == []
    assert "there is no int8 form beside float32: its answers differ by" in told[-1]


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "ANSWER_S", 0.01)
    ours, theirs = Pipe()
    process, rows = FreshProcess(ours), torch.zeros(2, 1)
    with pytest.raises(PublishFailed, match="had not answered"):
        process.run_form(b"a form", rows)
    with suppress(OSError):
        theirs.send(rows.numpy())
    with pytest.raises(PublishFailed, match="ended before it answered"):
        process.prove(Path("staged"), nn.Identity(), rows)


def test_a_network_of_plain_tensors_has_no_layers_to_quantize() -> None:
    rows = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    with pytest.raises(CannotQuantize, match="no convolution or linear layer before its last"):
        quantized(DigitNet(KaimingMlp(final_relu=False)).eval(), Quantization(rows))


class Branching(DigitNet):
    """What it computes depends on what it sees, which cannot be traced."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images if images.max() > 0 else images + 1)


def test_a_network_that_cannot_be_traced_is_told(digits: Digits) -> None:
    with pytest.raises(CannotQuantize, match="control flow"):
        quantized(Branching(cnn()).eval(), Quantization(mnist_rows(digits).inputs[:4]))


def test_the_last_layer_and_what_is_named_stay_in_float(digits: Digits) -> None:
    net, rows = baseline_net(), mnist_rows(digits).inputs
    form = quantized(net, Quantization(rows[:50], in_float=("body.1",)))
    layers = torch.ao.nn.quantized.Linear, torch.ao.nn.intrinsic.quantized.LinearReLU
    in_int8 = [name for name, module in form.named_modules() if isinstance(module, layers)]
    assert in_int8 == ["body.3", "body.5", "body.7"]


def test_int8_calls_about_as_many_no_digit_as_float32_does(digits: Digits) -> None:
    torch.manual_seed(0)
    net, rows = RejectingDigitNet(cnn()).eval(), mnist_rows(digits)
    train, validation = rows.take(torch.arange(200)), rows.take(torch.arange(200, 500))
    fit_threshold(net, hands(validation))
    form = quantized(net, digit_quantization(net, train))
    assert torch.equal(form.get_buffer("threshold"), net.threshold)
    with torch.inference_mode():
        called = [(answering(validation.inputs)[:, 10] > 0.5).sum().item() for answering in (net, form)]
    assert called[0] > 0
    assert abs(called[0] - called[1]) <= 3
