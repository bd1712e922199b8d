"""The models that workers will serve, got ready in the process that they will be copies of."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import torch

from service.artifacts.listing import Listing, listed
from service.artifacts.signatures import trusted_by
from service.artifacts.store import ArtifactStore
from service.endpoints.kinds import endpoint_of
from service.engine.cpus import threads_of
from service.engine.devices import resolve_device
from service.engine.loading import give_back, prepared
from service.engine.predictor import Choice, Predictor
from service.errors import outcome
from service.rollout.finding import MAX_MODELS
from service.rollout.mirroring import Mirroring
from service.rollout.reload import START_S
from service.rollout.unloaded import Unloaded
from service.serving.loading import Loader, Preloaded
from service.settings import KeyContents, Settings
from service.workers.prctl import end_with_parent

_IMPORTED = (
    *("service.app", "service.fast_path.connection", "service.workers.worker_server"),
    *("uvicorn.lifespan.on", "uvicorn.loops.auto", "uvloop"),
)
_THREADS = Path("/proc/self/task")


def preload(settings: Settings, keys: KeyContents, shared: Path, say: Callable[[str], None]) -> Preloaded:
    """Get ready what is live, in order, for as long as a start may take; workers see to the rest.

    What cannot be served is left to them too, for they tell why. `say` is told what is next: the store may
    not answer, and what another has written may never return, or end this process.
    """
    trusted = trusted_by(settings, keys.trusted_keys)
    device = resolve_device("cpu")
    store = Mirroring(settings).store  # of objects, what was brought before: workers bring the rest
    loader = Loader(store, endpoint_of, device, settings.precision, trusted, settings.max_model_bytes)
    threads = threads_of(settings.threads, settings.workers)
    preloaded = Preloaded()

    def add(name: str, version: int) -> None:
        artifact = loader.read_version(name, version)
        if artifact.manifest.format == "onnx":
            return  # onnxruntime begins a thread when it is imported, so that each worker does
        rest = prepared(artifact, device, settings.precision)
        if threads == 1:
            preloaded.add(artifact, _ready(rest(None)))
        else:  # of which there is none here
            preloaded.add(artifact, partial(rest, chosen_on(threads, rest)))

    ends_at = time.monotonic() + START_S
    for name, version in _wanted(store, settings, Unloaded(shared), say):
        if time.monotonic() > ends_at:
            break
        say(f"{name}/{version}")
        outcome(add, name, version)
    give_back()
    return preloaded


def _ready(predictor: Predictor) -> Callable[[], Predictor]:
    return lambda: predictor


def chosen_on(threads: int, rest: Callable[[Choice | None], Predictor]) -> Choice | None:
    """What a copy of this process finds quickest that has so many threads. None where it cannot."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    parent = os.getpid()
    copy = os.fork()
    if not copy:
        try:
            end_with_parent(parent)
            torch.set_num_threads(threads)
            theirs.send(rest(None).choice)
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        found = outcome(ours.recv)
    os.waitpid(copy, 0)
    return found if isinstance(found, Choice) else None


def _wanted(
    store: ArtifactStore, settings: Settings, unloaded: Unloaded, say: Callable[[str], None]
) -> Iterator[tuple[str, int]]:
    say("the store")
    listing = outcome(listed, store)
    models = listing.models if isinstance(listing, Listing) else ()
    for name in models[:MAX_MODELS]:
        if (settings.models and name not in settings.models) or name in unloaded:
            continue
        say(name)
        look = store.look(name, settings.keep)
        if isinstance(look.current, int):
            yield name, look.current
        for version in look.beside:
            yield name, version


def why_not_to_fork(device: str) -> str | None:
    """What stands in the way of workers that are copies of this process."""
    if device == "auto" and torch.cuda.is_available():
        return "a process that is a copy cannot use the GPU that there is; --device cpu leaves it alone"
    count = len(os.listdir(_THREADS))
    if count > 1:
        return (
            f"{count} threads run in the process that is to be copied, and copies would wait for all but"
            " one of them for ever. Something that Python imports at its start has begun them, or"
            " OPENBLAS_NUM_THREADS asks for them"
        )
    if torch.get_num_threads() > 1:
        return "torch computes on several threads"
    return None


def settle_in() -> None:
    """Before anything is loaded: no thread but this one; and all that a worker would import."""
    torch.set_num_threads(1)
    for module in _IMPORTED:
        import_module(module)
