"""What a newcomer has before the clock runs: scans, a photo, models of their own."""

import shutil
import subprocess
from pathlib import Path

import torch
from PIL import Image
from torchvision.models import mobilenet_v3_small

from benchmarks.environments import NotBuilt
from benchmarks.first_minute.packages import PROJECT
from service.artifacts.store import ArtifactStore
from service.engine.ways import torchscript_accepted

SCANS = 1_000


def give(folder: Path, scans: int = SCANS) -> None:
    """Fills `folder`: `7.png`, `scans/`, `photo.png`, `model.pt` and `net.pt`.

    The scans are the live model's ten samples, each turned by another angle; `net.pt` is a net of
    torchvision's with random weights.
    """
    store = ArtifactStore(PROJECT / "artifacts")
    live = store.folder("digit", store.current("digit"))
    folder.mkdir()
    shutil.copy(live / "model.pt", folder / "model.pt")
    samples = [Image.open(live / "samples" / f"{digit}.png") for digit in range(10)]
    samples[7].save(folder / "7.png")
    (folder / "scans").mkdir()
    for number in range(scans):
        turned = samples[number % 10].rotate(number / scans * 20 - 10, Image.Resampling.BILINEAR)
        turned.save(folder / "scans" / f"{number:04}.png")
    samples[3].convert("RGB").resize((320, 240)).save(folder / "photo.png")
    torch.manual_seed(0)
    with torchscript_accepted():
        torch.jit.script(mobilenet_v3_small().eval()).save(str(folder / "net.pt"))


def tsx_into(folder: Path) -> None:
    """Installs what runs TypeScript with every Node.js; newer ones do it themselves. Raises NotBuilt."""
    if shutil.which("npm") is None:
        raise NotBuilt("npm is not installed")
    command = [
        "npm",
        "install",
        "--prefer-offline",
        "--no-audit",
        "--no-fund",
        "--prefix",
        str(folder),
        "tsx",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise NotBuilt(result.stderr[-1500:])
