"""The limits without HTTP, each in a process of its own: `python -m benchmarks.loops WHAT CHECKPOINT FORM`.

`load` imports torch and loads the checkpoint: the least memory and start time that any server can have.
`decode-and-infer` adds a loop on one thread: decode 64 PNGs, one batch into the checkpoint.
`infer` is that loop without decoding, 16 rows at a time.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from benchmarks.process import peak_memory_bytes

ROUNDS, SECONDS_PER_ROUND = 5, 0.5
WARM_UP_CALLS = 10


class Loop(NamedTuple):
    """What one loop reached; digits/s is 0 where it only loads."""

    digits_per_s: float
    seconds_to_load: float
    peak_memory_bytes: int


def run(what: str, checkpoint: Path, png: Path) -> Loop:
    """Run one loop in a fresh process."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.loops", what, str(checkpoint), str(png)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()  # it says when it has loaded
        seconds = time.perf_counter() - started
        result = json.loads(process.stdout.read())
    return Loop(result["digits_per_s"], seconds, result["peak_memory_bytes"])


def main(what: str, checkpoint: str, png: str) -> None:
    import torch

    warnings.simplefilter("ignore", FutureWarning)  # TorchScript's deprecation
    model = torch.jit.load(checkpoint).eval()
    print("loaded", flush=True)
    digits_per_s = 0.0
    if what != "load":
        torch.set_num_threads(1)
        with torch.inference_mode():
            digits_per_s = _rate(
                _decode_and_infer(model, png) if what == "decode-and-infer" else _infer(model)
            )
    # Not getrusage: its maximum begins with the memory of whoever forked this process.
    print(json.dumps({"digits_per_s": digits_per_s, "peak_memory_bytes": peak_memory_bytes(os.getpid())}))


def _decode_and_infer(model: Callable[..., object], png: str) -> Callable[[], int]:
    import numpy as np
    import torch
    from PIL import Image

    files = [Path(png).read_bytes()] * 64

    def once() -> int:
        pixels = np.stack([np.array(Image.open(BytesIO(file)).convert("L")) for file in files])
        model(torch.from_numpy(pixels)[:, None])
        return len(files)

    return once


def _infer(model: Callable[..., object]) -> Callable[[], int]:
    import torch

    rows = torch.zeros(16, 1, 28, 28, dtype=torch.uint8)

    def once() -> int:
        model(rows)
        return len(rows)

    return once


def _rate(once: Callable[[], int]) -> float:
    """Digits per second: the median of several rounds."""
    for _ in range(WARM_UP_CALLS):
        once()
    rates = []
    for _ in range(ROUNDS):
        digits, started = 0, time.perf_counter()
        while (seconds := time.perf_counter() - started) < SECONDS_PER_ROUND:
            digits += once()
        rates.append(digits / seconds)
    return statistics.median(rates)


if __name__ == "__main__":
    main(*sys.argv[1:])
