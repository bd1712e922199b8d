"""How a command ends that cannot do what it should: one line, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from service.artifacts.manifest import ArtifactError
from service.artifacts.remote.objects import StoreUnreachable
from service.artifacts.signatures import KeyUnusable
from service.errors import DeviceUnavailable
from service.terminal import fail
from training.data import DataUnavailable
from training.fitting.batches import is_of_a_lost_worker
from training.fitting.checkpoint import Checkpoint, CheckpointUnusable
from training.fitting.history import Diverged
from training.fitting.interruption import Interrupted, uninterrupted
from training.fitting.ranks import LaunchUnusable, is_of_a_lost_rank
from training.publishing.proof import PublishFailed


@contextmanager
def errors_explained(checkpoint: Checkpoint | None = None) -> Iterator[None]:
    """Say what went wrong in one line: exit code 2 for what the caller gave, 1 for what training did."""
    last_words = checkpoint.last_words if checkpoint else str
    try:
        yield
    except (DataUnavailable, DeviceUnavailable, KeyUnusable, CheckpointUnusable, LaunchUnusable) as error:
        fail(_one_line(error), code=2)
    except (PublishFailed, ArtifactError) as error:
        fail("; ".join(filter(None, (_one_line(error), last_words()))))
    except StoreUnreachable as error:
        fail(f"{error.strerror}")
    except Diverged as error:
        fail(_one_line(error))
    except torch.OutOfMemoryError:
        fail("the GPU has too little free memory; --device cpu needs none")
    except RuntimeError as error:
        if not (is_of_a_lost_rank(error) or is_of_a_lost_worker(error)):
            raise
        uninterrupted()  # torchrun ends the rest at once
        fail("; ".join(filter(None, ("another process of this training has ended", last_words()))))
    except Interrupted as interrupted:
        fail(f"interrupted; {last_words() or 'nothing is kept'}", code=interrupted.exit_code)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
