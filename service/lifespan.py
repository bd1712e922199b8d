"""What lives as long as the application serves: the models and all that computes their answers."""

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from pathlib import Path
from threading import Barrier

import torch
from fastapi import FastAPI

from service.artifacts.signatures import TrustedKeys
from service.decoding.pool import Decoding
from service.endpoints.kinds import endpoint_of
from service.engine.cpus import threads_of, usable_cpus
from service.engine.devices import computes, resolve_device
from service.http.draining import LEAVING, draining
from service.http.keys import KeyFile
from service.rollout.agreement import Agreement
from service.rollout.mirroring import Mirroring
from service.rollout.placing import Placing
from service.rollout.reload import Reloader
from service.rollout.unloaded import Unloaded
from service.serving.admission import Admission
from service.serving.call import Backend
from service.serving.deadlines import Deadlines
from service.serving.loading import Loader, Preloaded, Repository
from service.serving.metrics import Metrics
from service.serving.registry import Registry
from service.serving.steps import Stepping
from service.serving.watchdog import Watchdog
from service.settings import Settings

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.00005
MOST_DECODERS = 8  # each may take 150 MB for a picture


@asynccontextmanager
async def lifespan(
    app: FastAPI,
    settings: Settings,
    trusted: TrustedKeys | None,
    shared: Path | None,
    preloaded: Preloaded | None,
) -> AsyncIterator[dict[str, asyncio.Event]]:
    """`shared`: a folder that all workers have in common. `preloaded`: models whose memory they share.

    Yields what is to be set when the server takes no more connections.
    """
    _tune(settings)
    device = _device(settings)
    mirroring = Mirroring(settings)
    registry = Registry(device, settings.models)
    metrics: Metrics = app.state.metrics
    metrics.show(registry)
    unloaded = Unloaded(shared) if shared and settings.allow_repository_control else None
    store, max_bytes = mirroring.store, settings.max_model_bytes
    loader = Loader(store, endpoint_of, device, settings.precision, trusted, max_bytes, preloaded)
    placing = Placing(registry, metrics, settings.max_queued_batches, settings.canary_share)
    reloader = Reloader(
        registry,
        loader,
        placing,
        metrics,
        settings.load_timeout_s,
        settings.keep,
        settings.models,
        unloaded,
    )
    agreement = unloaded and Agreement(unloaded, reloader, registry, settings.load_timeout_s)
    repository = (agreement or reloader) if settings.allow_repository_control else None
    backend = app.state.backend = _backend(registry, metrics, settings, repository)
    watchdog = Watchdog(placing.computing, registry.hang, settings.batch_timeout_s)
    watchdog.start()

    try:
        async with mirroring.kept(), agreement.kept(settings.reload_s) if agreement else nullcontext():
            await reloader.start(settings.reload_s)
            for what, why in registry.absent().items():
                logger.warning("not ready: %s: %s", what, why)
            # What is loaded stays: a full collection of torch's 300,000 objects would hold up requests
            # for 60 ms.
            gc.freeze()
            gc.enable()
            backend.decoding.start()
            with _keys_kept_up(app.state.keys, metrics), draining(registry.stop, settings.drain_s):
                leaving = asyncio.Event()
                async with _rpc(app, settings, backend, leaving):
                    yield {LEAVING: leaving}
    finally:
        await backend.decoding.close()
        gc.unfreeze()
        app.state.stuck = not await reloader.close()
        watchdog.stop()


def _tune(settings: Settings) -> None:
    """Set what holds for the whole process: warnings, threads, how long one keeps the interpreter lock."""
    # Pillow remarks on damaged uploads. The client is answered; whoever uploads must not fill our log.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    torch.set_num_threads(threads_of(settings.threads, settings.workers))
    asyncio.get_running_loop().set_default_executor(_executor(usable_cpus()))
    # A thread that computes can hand over its answers only with the interpreter lock, which the event loop
    # gives up after this long: by default 5 ms, as much as a whole batch takes.
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def _device(settings: Settings) -> torch.device:
    """Raises DeviceUnavailable."""
    device, precision = resolve_device(settings.device), settings.precision
    logger.info(
        "device %s, artifacts in %s, %d thread(s)", device, settings.artifacts, torch.get_num_threads()
    )
    if precision != "auto" and not computes(device, getattr(torch, precision)):
        logger.warning("%s has no instructions for %s: float32 is quicker", device, precision)
    return device


def _executor(count: int) -> ThreadPoolExecutor:
    """With all of its threads: later the system may allow none, and requests need them."""
    executor = ThreadPoolExecutor(count, "elsewhere")
    together = Barrier(count)
    try:
        for begun in [executor.submit(together.wait) for _ in range(count)]:
            begun.result()
    except RuntimeError:
        together.abort()
        raise
    return executor


def _keys_kept_up(keys: KeyFile | None, metrics: Metrics) -> AbstractContextManager[None]:
    return keys.kept_up(metrics.api_keys_read_failures.inc) if keys else nullcontext()


def _rpc(
    app: FastAPI, settings: Settings, backend: Backend, leaving: asyncio.Event
) -> AbstractAsyncContextManager[None]:
    """The server of gRPC, which is imported only where it is wanted."""
    if settings.grpc_port is None:
        return nullcontext()
    from service.rpc.calls import Calls
    from service.rpc.serving import rpc_served

    state = app.state
    return rpc_served(settings, backend, Calls(state.ledger, state.keys, state.spans), leaving)


def _backend(
    registry: Registry, metrics: Metrics, settings: Settings, repository: Repository | None
) -> Backend:
    cpus = usable_cpus() // settings.workers
    return Backend(
        registry=registry,
        documents=Stepping(),
        decoding=Decoding(min(MOST_DECODERS, 1 + cpus), settings.max_image_pixels),
        pending_bytes=Admission(settings.max_pending_bytes, "bytes of bodies"),
        deadlines=Deadlines(),
        metrics=metrics,
        max_body_bytes=settings.max_body_bytes,
        max_image_pixels=settings.max_image_pixels,
        request_timeout_s=settings.request_timeout_s,
        repository=repository,
    )
