"""On a CUDA device: the same answers as on the CPU. `make test-gpu`; skipped where there is none."""

from pathlib import Path

import pytest
import torch

from service.app import create_app
from service.devices import resolve_device
from service.manifest import ArtifactStore
from service.predictor import load
from service.settings import Settings
from tests.conftest import COMMITTED, CPU, QUIET, Digits, png, running
from training.pass_recipe import train_pass

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

VERSIONS = sorted(path.parent for path in COMMITTED.glob("*/*/manifest.json"))


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
        assert [m["device"] for m in models] == ["cuda", "cuda"]
        files = [("file", png(image)) for image in digits.images_u8[:64]]
        predictions = (await client.post("/predict/digit", files=files)).json()["predictions"]
    right = [p["digit"] == label for p, label in zip(predictions, digits.labels, strict=False)]
    assert sum(right) >= 62


def test_what_is_trained_on_the_gpu_is_published_for_any_device(tmp_path: Path) -> None:
    train_pass(ArtifactStore(tmp_path), QUIET, device=torch.device("cuda"))
    assert load(tmp_path / "pass" / "1", CPU).manifest.training.device == "cuda"
