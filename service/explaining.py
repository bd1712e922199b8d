"""`python -m service --explain-engine`: how every live model would be computed here, and why so."""

from collections.abc import Iterator

import torch

from service.artifacts.listing import listed
from service.artifacts.manifest import ArtifactError
from service.artifacts.remote.store import store_of
from service.artifacts.signatures import trusted_by
from service.endpoints.kinds import endpoint_of
from service.engine.cpus import threads_of
from service.engine.devices import resolve_device
from service.engine.explained import lines
from service.serving.loading import Loader
from service.settings import Settings


def explained_engines(settings: Settings) -> Iterator[str]:
    """A line for each model and batch size, found out as a worker does; or why it is not served.

    Raises ArtifactError where the store cannot be read, DeviceUnavailable or KeyUnusable.
    """
    threads = threads_of(settings.threads, settings.workers)
    torch.set_num_threads(threads)
    device = resolve_device(settings.device)
    store, trusted = store_of(settings), trusted_by(settings)
    loader = Loader(store, endpoint_of, device, settings.precision, trusted, settings.max_model_bytes)
    yield f"device {device}, {threads} thread(s), --precision {settings.precision}"
    for name in settings.models or listed(store).models:
        try:
            version = store.current(name)
            predictor, _ = loader.load_version(name, version)
        except ArtifactError as error:
            yield f"{name}: not served: {error}"
            continue
        assert predictor.explained
        yield from lines(f"{name}/{version}", predictor.explained)
