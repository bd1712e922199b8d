"""The batches of a fit, augmented in processes of their own while the net learns from those before."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import parent_process
from threading import Thread
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from service.engine.cpus import usable_cpus
from training.data import Rows
from training.fitting.interruption import SIGNALS, deferred
from training.fitting.ranks import ALONE, Ranks

Augment = Callable[[Tensor], Tensor]


class Batch(NamedTuple):
    """What a rank computes of a batch, and what the mean loss of it counts."""

    rows: Rows
    weight: float


class Batches:
    """Gone through once an epoch, in another order each time.

    All chance comes from torch's generator in this process, so the batches are the same however many
    processes augment: at most `workers`, and half as many as each of the `ranks` has cores, or two where it
    has two or three; none on a single core, or where the rows are on a GPU. Where one is killed there is an
    error of torch's: see `is_of_a_lost_worker`.

    Entered, torch computes on the cores that are left, or on one: threads that wait for each other on busy
    ones spin.
    """

    def __init__(
        self, train: Rows, size: int, augment: Augment | None, ranks: Ranks = ALONE, workers: int = 0
    ) -> None:
        self._cores = usable_cpus() // ranks.local_size
        on_cpu = train.inputs.device.type == "cpu"
        # A net that learns sooner than one process augments takes 0.6 of the time with two.
        most = max(2, self._cores // 2) if self._cores > 1 else 0
        self._workers = min(workers, most) if augment and on_cpu else 0
        self._threads = torch.get_num_threads()
        self._loader: DataLoader[Any] | None = DataLoader(
            _Augmented(train, augment, ranks),
            batch_size=None,
            sampler=_Draws(len(train.inputs), size, ranks),
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            worker_init_fn=_bound_to_its_parent,
            collate_fn=_through_a_pipe if self._workers else None,
            # Of its own, as what it draws depends on whether there are workers.
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[Batch]:
        assert self._loader is not None
        # Raised within, it may leave a lock of torch's held, for which the end of the workers would wait.
        with deferred():
            loaded = iter(self._loader)
        while True:
            with deferred():
                item = next(loaded, None)
            if item is None:
                return
            inputs, targets, weight = item
            if self._workers:
                # Copied, as torch lays out in memory what is its own: bits may depend on that.
                yield Batch(Rows(torch.tensor(inputs), torch.tensor(targets)), weight)
            else:
                yield Batch(Rows(inputs, targets), weight)

    def __enter__(self) -> Self:
        if self._workers:
            torch.set_num_threads(min(self._threads, max(1, self._cores - self._workers)))
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._threads)
        with deferred():  # workers are ended in a destructor, where Python drops whatever is raised
            self._loader = None


class _Draw(NamedTuple):
    """`rows i64 [B]`: which ones; `seed`: of what is random about them."""

    rows: NDArray[np.int64]
    seed: int


class _Draws(Sampler[_Draw]):
    def __init__(self, rows: int, size: int, ranks: Ranks) -> None:
        self._rows, self._size, self._ranks = rows, size, ranks

    def __iter__(self) -> Iterator[_Draw]:
        indices = self._ranks.by_first(partial(torch.randperm, self._rows)).split(self._size)
        seeds = torch.randint(2**63 - 1, (len(indices),)).tolist()
        yield from (_Draw(rows.numpy(), seed) for rows, seed in zip(indices, seeds, strict=True))


class _Augmented(Dataset[tuple[Tensor, Tensor, float]]):
    def __init__(self, train: Rows, augment: Augment | None, ranks: Ranks) -> None:
        self._train, self._augment, self._ranks = train, augment, ranks

    def __getitem__(self, draw: _Draw) -> tuple[Tensor, Tensor, float]:
        own, weight = self._ranks.share(torch.from_numpy(draw.rows))
        device = self._train.inputs.device
        inputs, targets = self._train.take(own.to(device))
        if self._augment:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(draw.seed)
                inputs = self._augment(inputs)
        return inputs, targets, weight


def _bound_to_its_parent(_worker: int) -> None:
    """A worker ends with its parent, however that ends, or when that says so; not by what all are told.

    Then it might be told in the middle of a batch, for the rest of which its parent would wait.
    """
    os.setpgrp()
    parent = parent_process()
    assert parent

    def follow() -> None:
        parent.join()
        os._exit(1)

    def hear() -> None:
        while signal.sigwaitinfo(SIGNALS).si_pid != parent.pid:
            pass
        os._exit(1)

    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # of all threads that are started from here on
        Thread(target=hear, daemon=True).start()
    Thread(target=follow, daemon=True).start()


def _through_a_pipe(item: Any) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Tensors would go through shared memory, of which a container has 64 MiB by default."""
    inputs, targets, weight = item
    return inputs.numpy(), targets.numpy(), weight


def is_of_a_lost_worker(error: RuntimeError) -> bool:
    """Whether a process that augments has ended, as where memory is short: torch's message says so."""
    return str(error).startswith("DataLoader worker (pid")
