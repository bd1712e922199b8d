"""That an archive answers as its network did, in a fresh process that loads it as the service will."""

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.predictor import load

CHECK_TOLERANCE = 1e-4


class PublishFailed(Exception):
    """The archive does not answer as the network did, or nobody could see; nothing was published."""


@contextmanager
def started_process() -> Iterator[Executor]:
    """A fresh process. Raises PublishFailed where there can be none.

    It runs a script that does not ask whether it is the main module once more, up to this place. So it is
    started before a lock is held, for which that script would wait as long as we wait for it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh_process:
        try:
            fresh_process.submit(int).result()
        except BrokenProcessPool as error:
            raise PublishFailed(
                "The process that verifies an archive did not start."
                ' A script that publishes must do so below `if __name__ == "__main__":`.'
            ) from error
        yield fresh_process


def prove(fresh_process: Executor, staged: Path, net: nn.Module, rows: Tensor) -> None:
    """Load the staged folder and compare on real rows. Raises PublishFailed or ArtifactError."""
    reloaded = torch.from_numpy(fresh_process.submit(_replay, staged, rows.numpy()).result())
    with torch.inference_mode():
        difference = (reloaded - net(rows)).abs().max().item()
    if not difference <= CHECK_TOLERANCE:
        raise PublishFailed(f"the reloaded archive differs from the network by {difference:.3g}")


def _replay(folder: Path, rows: NDArray[Any]) -> NDArray[Any]:
    # NumPy crosses the process border: torch would share its memory through a file descriptor.
    return load(folder, torch.device("cpu")).predict(torch.from_numpy(rows)).numpy()
