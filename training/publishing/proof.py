"""That an archive answers as its network did, in a fresh process that loads it as the service will."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.artifacts.manifest import ArtifactError
from service.artifacts.version_folder import largest, title
from service.engine.devices import AsItIs
from service.engine.loading import load
from service.engine.predictor import MAX_BATCH_ROWS
from service.engine.quantized import Quantized
from service.engine.tensors import reason
from service.engine.torchscript import MODEL_FAULTS
from service.engine.ways import torchscript_accepted
from service.errors import InferenceFailed
from service.starting import blocked

CHECK_TOLERANCE = 1e-4
ANSWER_S = 300.0  # an archive that is not loaded and has not answered by then never will

Answer = NDArray[Any] | ArtifactError | None


class PublishFailed(Exception):
    """The archive does not answer as the network did, or cannot be written, or nobody could see."""


class FreshProcess:
    """A process that loads archives as the service does, one after the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def verify(self, folder: Path) -> None:
        """Have a version loaded. Raises ArtifactError when the service would refuse it."""
        try:
            self._ask(folder, None)
        except PublishFailed as error:
            raise ArtifactError(str(error)) from error

    def prove(self, staged: Path, net: nn.Module, rows: Tensor) -> None:
        """Have the staged folder loaded and compare on real rows. Raises PublishFailed or ArtifactError."""
        answers = self._ask(staged, rows.numpy())
        assert answers is not None
        try:
            with torch.inference_mode():
                difference = (torch.from_numpy(answers) - net(rows.clone())).abs().max().item()
        except MODEL_FAULTS as error:
            raise PublishFailed(f"the network fails on the rows of its proof: {reason(error)}") from error
        if not difference <= CHECK_TOLERANCE:
            raise PublishFailed(f"the reloaded archive differs from the network by {difference:.3g}")

    def run_form(self, archive: bytes, rows: Tensor) -> Tensor:
        """The answers of an archive of quantized layers, loaded there.

        Raises PublishFailed or ArtifactError.
        """
        answers = self._ask(archive, rows.numpy())
        assert answers is not None
        return torch.from_numpy(answers)

    def _ask(self, what: Path | bytes, rows: NDArray[Any] | None) -> NDArray[Any] | None:
        try:
            self._connection.send((what, rows))
            if not self._connection.poll(ANSWER_S):
                self._connection.close()  # a late answer would be taken for that to the next question
                raise PublishFailed(f"The archive had not answered after {ANSWER_S:.0f} s.")
            answer: Answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise PublishFailed("The process that verifies an archive ended before it answered.") from error
        if isinstance(answer, ArtifactError):
            raise answer
        return answer


@contextmanager
def fresh_process() -> Iterator[FreshProcess]:
    """A process that verifies. Raises PublishFailed where there can be none.

    It runs a script that does not ask whether it is the main module once more, up to this place. So it is
    started before a lock is held, for which that script would wait as long as we wait for it.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_replay, args=(theirs,), daemon=True)
    with blocked(signal.SIGINT):  # a Ctrl-C, which all processes of a terminal get, is ours to explain
        process.start()
    theirs.close()  # each end is now held by one process, and whichever is left hears that the other ended
    try:
        _wait_for_start(ours)
        yield FreshProcess(ours)
    finally:
        ours.close()
        process.kill()  # it has nothing to put away, and would take most of a second to end
        process.join()


def _wait_for_start(process: Connection) -> None:
    try:
        process.recv()
    except EOFError as error:
        raise PublishFailed(
            "The process that verifies an archive did not start."
            ' A script that publishes must do so below `if __name__ == "__main__":`.'
        ) from error


def _replay(publisher: Connection) -> None:
    """Answer as long as we are asked. Ends with the publisher, even if that is killed."""
    with suppress(EOFError, OSError):
        publisher.send("started")
        while True:
            what, rows = publisher.recv()
            publisher.send(
                _form_asked(what, rows) if isinstance(what, bytes) else _loaded_and_asked(what, rows)
            )


def _loaded_and_asked(folder: Path, rows: NDArray[Any] | None) -> Answer:
    try:
        predictor = load(folder, torch.device("cpu"), max_bytes=largest())
        # NumPy crosses the process border: torch would share its memory through a file descriptor.
        return None if rows is None else predictor.predict(torch.from_numpy(rows)).numpy()
    except ArtifactError as error:
        return error
    except InferenceFailed as error:
        return ArtifactError(f"{title(folder)}: the model fails on the rows of its proof: {error}")


def _form_asked(archive: bytes, rows: NDArray[Any]) -> Answer:
    try:
        with torchscript_accepted():
            run = Quantized(archive).run
        with AsItIs():
            parts = [run(part) for part in torch.from_numpy(rows).split(MAX_BATCH_ROWS)]
            answers: NDArray[Any] = torch.cat(parts).numpy()
        return answers
    except (*MODEL_FAULTS, ValueError, AttributeError) as error:
        return ArtifactError(reason(error))
