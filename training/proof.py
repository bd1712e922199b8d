"""That an archive answers as its network did, in a fresh process that loads it as the service will."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.manifest import ArtifactError
from service.predictor import load

CHECK_TOLERANCE = 1e-4


class PublishFailed(Exception):
    """The archive does not answer as the network did, or nobody could see; nothing was published."""


@contextmanager
def fresh_process() -> Iterator[Connection]:
    """A process for `prove`. Raises PublishFailed where there can be none.

    It runs a script that does not ask whether it is the main module once more, up to this place. So it is
    started before a lock is held, for which that script would wait as long as we wait for it.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_replay, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # each end is now held by one process, and whichever is left hears that the other ended
    try:
        _wait_for_start(ours)
        yield ours
    finally:
        ours.close()
        process.join()


def _wait_for_start(process: Connection) -> None:
    try:
        process.recv()
    except EOFError as error:
        raise PublishFailed(
            "The process that verifies an archive did not start."
            ' A script that publishes must do so below `if __name__ == "__main__":`.'
        ) from error


def prove(process: Connection, staged: Path, net: nn.Module, rows: Tensor) -> None:
    """Have the staged folder loaded and compare on real rows. Raises PublishFailed or ArtifactError."""
    try:
        process.send((staged, rows.numpy()))
        answer: NDArray[Any] | ArtifactError = process.recv()
    except (EOFError, OSError) as error:
        raise PublishFailed("The process that verifies an archive ended before it answered.") from error
    if isinstance(answer, ArtifactError):
        raise answer
    with torch.inference_mode():
        difference = (torch.from_numpy(answer) - net(rows)).abs().max().item()
    if not difference <= CHECK_TOLERANCE:
        raise PublishFailed(f"the reloaded archive differs from the network by {difference:.3g}")


def _replay(publisher: Connection) -> None:
    """Answer one request. Ends with the publisher, even if that is killed."""
    publisher.send("started")
    try:
        folder, rows = publisher.recv()
    except EOFError:
        return
    try:
        # NumPy crosses the process border: torch would share its memory through a file descriptor.
        publisher.send(load(folder, torch.device("cpu")).predict(torch.from_numpy(rows)).numpy())
    except ArtifactError as error:
        publisher.send(error)
