"""On a CUDA device: the same answers as on the CPU. `make test-gpu`; skipped where there is none."""

from pathlib import Path

import pytest
import torch

from service.app import create_app
from service.artifacts.store import ArtifactStore
from service.engine.devices import CudaGraphs, resolve_device, runner
from service.engine.loading import HALF_TOLERANCE, load
from service.option_types import Precision
from service.settings import Settings
from tests.conftest import BASELINE, COMMITTED, CPU, QUIET, Digits, png, running
from training.pass_recipe import train_pass
from training.publishing.activation import Publication

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

VERSIONS = sorted(path.parent for path in COMMITTED.glob("*/*/manifest.json"))


def live_digit() -> Path:
    store = ArtifactStore(COMMITTED)
    return store.folder("digit", store.current("digit"))


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_every_version_answers_as_on_the_cpu(folder: Path, digits: Digits) -> None:
    on_cpu, on_gpu = load(folder, CPU), load(folder, torch.device("cuda:0"))
    if folder.parent.name == "digit":
        rows = torch.from_numpy(digits.images_u8).unsqueeze(1)
    else:
        rows = torch.linspace(0, 50, 500).unsqueeze(1)
    torch.testing.assert_close(on_gpu.predict(rows), on_cpu.predict(rows), atol=1e-4, rtol=0)


def test_auto_takes_the_gpu() -> None:
    assert resolve_device("auto").type == "cuda"
    assert resolve_device("cuda:0").index == 0


async def test_the_service_answers_from_the_gpu_and_says_so(digits: Digits) -> None:
    async with running(create_app(Settings(artifacts=COMMITTED, device="cuda"))) as client:
        models = (await client.get("/models")).json()["models"]
        assert {m["device"] for m in models} == {"cuda"}
        files = [("file", png(image)) for image in digits.images_u8[:64]]
        predictions = (await client.post("/predict/digit", files=files)).json()["predictions"]
    right = [p["digit"] == label for p, label in zip(predictions, digits.labels, strict=False)]
    assert sum(right) >= 62


def test_what_is_trained_on_the_gpu_is_published_for_any_device(tmp_path: Path) -> None:
    train_pass(Publication(ArtifactStore(tmp_path)), QUIET, device=torch.device("cuda"))
    assert load(tmp_path / "pass" / "1", CPU).manifest.record.device == "cuda"


def test_every_batch_size_is_answered_whatever_graph_it_is_padded_to(digits: Digits) -> None:
    """CUDA graphs exist for a few sizes only, and hold the rows of earlier batches behind a smaller one."""
    folder = live_digit()
    on_cpu, on_gpu = load(folder, CPU), load(folder, torch.device("cuda"))
    assert isinstance(on_gpu._run, CudaGraphs)
    rows = torch.from_numpy(digits.images_u8[:100]).unsqueeze(1)
    expected = on_cpu.predict(rows)
    for size in [64, 1, 63, 2, 33, 100, *range(1, 66)]:
        torch.testing.assert_close(on_gpu.predict(rows[:size]), expected[:size], atol=1e-4, rtol=0)


def test_graphs_of_two_models_do_not_share_their_memory(digits: Digits) -> None:
    rows = torch.from_numpy(digits.images_u8[:64]).unsqueeze(1)
    models = [load(folder, torch.device("cuda")) for folder in (BASELINE, live_digit())]
    first = [model.predict(rows) for model in models]
    again = [model.predict(rows) for model in models]
    for one, two in zip(first, again, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=0)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_stays_near(digits: Digits, precision: Precision) -> None:
    rows = torch.from_numpy(digits.images_u8).unsqueeze(1)
    folder = live_digit()
    exact = load(folder, CPU).predict(rows)
    half = load(folder, torch.device("cuda"), precision).predict(rows)
    assert (half - exact).abs().max() < HALF_TOLERANCE


def test_a_model_that_cannot_be_captured_runs_without_a_graph(digits: Digits) -> None:
    def waits_for_itself(rows: torch.Tensor) -> torch.Tensor:
        assert rows.sum().item() >= 0  # a synchronisation, which no capture allows
        return rows.flatten(1).float().mean(1, keepdim=True)

    rows = torch.from_numpy(digits.images_u8[:3]).unsqueeze(1)
    device = torch.device("cuda")
    with torch.inference_mode():
        run = runner(waits_for_itself, rows[:1], device, torch.float32, (1, 2, 4))
        assert not isinstance(run, CudaGraphs)
        torch.testing.assert_close(run(rows), rows.flatten(1).float().mean(1, keepdim=True))
