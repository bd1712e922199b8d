"""How a command ends that cannot do what it should: one line, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import typer

from service.artifacts.manifest import ArtifactError, printable
from service.artifacts.remote.objects import StoreUnreachable
from service.artifacts.signatures import KeyUnusable
from service.errors import DeviceUnavailable
from training.data import DataUnavailable
from training.fitting.batches import is_of_a_lost_worker
from training.fitting.checkpoint import Checkpoint, CheckpointUnusable
from training.fitting.history import Diverged
from training.fitting.interruption import Interrupted, uninterrupted
from training.fitting.ranks import LaunchUnusable, is_of_a_lost_rank
from training.publishing.proof import PublishFailed

MAX_LINE = 2000


@contextmanager
def errors_explained(checkpoint: Checkpoint | None = None) -> Iterator[None]:
    """Say what went wrong in one line: exit code 2 for what the caller gave, 1 for what training did."""
    try:
        yield
    except (DataUnavailable, DeviceUnavailable, KeyUnusable, CheckpointUnusable, LaunchUnusable) as error:
        fail(str(error), code=2)
    except (PublishFailed, ArtifactError) as error:
        kept = checkpoint.last_words() if checkpoint else ""
        fail(f"{error}; {kept}" if kept else str(error), code=1)
    except StoreUnreachable as error:
        fail(f"{error.strerror}", code=1)
    except Diverged as error:
        fail(str(error), code=1)
    except torch.OutOfMemoryError:
        fail("the GPU has too little free memory; --device cpu needs none", code=1)
    except RuntimeError as error:
        if not (is_of_a_lost_rank(error) or is_of_a_lost_worker(error)):
            raise
        uninterrupted()  # torchrun ends the rest at once
        kept = checkpoint.last_words() if checkpoint else ""
        fail(f"another process of this training has ended{kept and f'; {kept}'}", code=1)
    except Interrupted as interrupted:
        kept = checkpoint.last_words() if checkpoint else ""
        fail(f"interrupted; {kept or 'nothing is kept'}", code=interrupted.exit_code)


def fail(message: str, code: int) -> NoReturn:
    typer.echo(printable(f"Error: {' '.join(message.split())}", MAX_LINE), err=True)
    raise typer.Exit(code)
