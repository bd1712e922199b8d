"""What every peer does alike: load the checkpoint, decode the picture, shape the answer."""

import os
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

BEST = os.environ.get("BENCH_SETTINGS") == "best"


def load(variable: str = "BENCH_DIGIT") -> torch.jit.ScriptModule:
    """The checkpoint that the environment variable names, on `BENCH_DEVICE`."""
    if "BENCH_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["BENCH_THREADS"]))
    return torch.jit.load(os.environ[variable], os.environ.get("BENCH_DEVICE", "cpu")).eval()


def decode(data: bytes) -> torch.Tensor:
    """A PNG of 28×28 → images_u8 [1, 1, 28, 28]."""
    return torch.from_numpy(np.array(Image.open(BytesIO(data)).convert("L")))[None, None]


@torch.inference_mode()
def infer(model: torch.jit.ScriptModule, images_u8: torch.Tensor) -> list[list[float]]:
    """images_u8 [N, 1, 28, 28] → N rows of ten probabilities."""
    answers = model(images_u8.to(os.environ.get("BENCH_DEVICE", "cpu")))
    return answers[:, :10].tolist()  # a score may follow


def answer(probabilities: list[float]) -> dict[str, Any]:
    return {"digit": max(range(10), key=probabilities.__getitem__), "probabilities": probabilities}
