"""A version loaded for trial, in a process of its own: whatever becomes of it there, it can be ended."""

import signal
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from service.artifacts.manifest import ArtifactError
from service.artifacts.store import ArtifactStore
from service.errors import outcome
from service.settings import Settings
from service.starting import blocked

_BEGUN = "begun"


def try_version(root: Path, settings: Settings, name: str, version: int) -> None:
    """Load a version as the service would, and let it go.

    Raises ArtifactError when it is not fit to serve, or not ready within `settings.load_timeout_s`.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_load, args=(theirs, root, settings, name, version), daemon=True)
    resource_tracker.ensure_running()  # which it would start, and hear Ctrl-C from then on
    with blocked(signal.SIGINT):
        process.start()
    theirs.close()  # so that we hear if the process ends
    try:
        ours.recv()  # torch is imported, which is not the model's doing
        if not ours.poll(settings.load_timeout_s):
            raise ArtifactError(f"{name}/{version} was not ready within {settings.load_timeout_s:g} s")
        error: str | None = ours.recv()
    except EOFError:
        process.join()
        raise ArtifactError(
            f"{name}/{version}: the process that loads it ended with {process.exitcode}"
        ) from None
    finally:
        process.kill()
        process.join()
    if error:
        raise ArtifactError(error)


def _load(answer: Connection, root: Path, settings: Settings, name: str, version: int) -> None:
    # Imported here: who lists versions needs no torch.
    import torch

    from service.artifacts.signatures import trusted_by
    from service.endpoints.kinds import endpoint_of
    from service.serving.loading import Loader

    answer.send(_BEGUN)
    store, device, trusted = ArtifactStore(root), torch.device("cpu"), trusted_by(settings)
    loader = Loader(store, endpoint_of, device, "float32", trusted, settings.max_model_bytes)
    loaded = outcome(loader.load_version, name, version)
    if isinstance(loaded, ArtifactError):
        answer.send(str(loaded))
    elif isinstance(loaded, Exception):
        answer.send(f"{name}/{version} cannot be loaded: {loaded!r}")
    else:
        answer.send(None)
