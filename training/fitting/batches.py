"""The batches of a fit, augmented in processes of their own while the net learns from those before."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import parent_process
from threading import Thread
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from service.engine.cpus import usable_cpus
from training.data import Rows
from training.fitting.ranks import Ranks

MOST_WORKERS = 4

Augment = Callable[[Tensor], Tensor]


class Batch(NamedTuple):
    """What a rank computes of a batch, and what the mean loss of it counts."""

    rows: Rows
    weight: float


class Batches:
    """Gone through once an epoch, in another order each time.

    All chance comes from torch's generator in this process, so the batches are the same however many
    processes augment: none where the rows are on a GPU, or there is but one core for each of the `ranks`.
    When one of them is killed there is an error of torch's; see `is_of_a_lost_worker`.
    """

    def __init__(self, train: Rows, size: int, augment: Augment | None, ranks: Ranks) -> None:
        self._cores = max(1, usable_cpus() // ranks.local_size)
        on_cpu = train.inputs.device.type == "cpu"
        self._workers = min(self._cores - 1, MOST_WORKERS) if augment and on_cpu else 0
        self._loader: DataLoader[Any] = DataLoader(
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
        for inputs, targets, weight in self._loader:
            yield Batch(Rows(torch.as_tensor(inputs), torch.as_tensor(targets)), weight)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Compute on the cores that are left: threads that wait for each other on busy ones only spin."""
        before = torch.get_num_threads()
        if self._workers:
            torch.set_num_threads(min(before, self._cores - self._workers))
        try:
            yield
        finally:
            torch.set_num_threads(before)


class _Draw(NamedTuple):
    """`rows i64 [B]`: which ones; `seed`: of what is random about them."""

    rows: Tensor
    seed: int


class _Draws(Sampler[_Draw]):
    def __init__(self, rows: int, size: int, ranks: Ranks) -> None:
        self._rows, self._size, self._ranks = rows, size, ranks

    def __iter__(self) -> Iterator[_Draw]:
        indices = self._ranks.by_first(partial(torch.randperm, self._rows)).split(self._size)
        seeds = torch.randint(2**63 - 1, (len(indices),)).tolist()
        yield from map(_Draw, indices, seeds)


class _Augmented(Dataset[tuple[Tensor, Tensor, float]]):
    def __init__(self, train: Rows, augment: Augment | None, ranks: Ranks) -> None:
        self._train, self._augment, self._ranks = train, augment, ranks

    def __getitem__(self, draw: _Draw) -> tuple[Tensor, Tensor, float]:
        own, weight = self._ranks.share(draw.rows)
        device = self._train.inputs.device
        inputs, targets = self._train.take(own.to(device))
        if self._augment:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(draw.seed)
                inputs = self._augment(inputs)
        return inputs, targets, weight


def _bound_to_its_parent(_worker: int) -> None:
    """A worker ends with its parent, however that ends, and not by what a terminal tells all processes."""
    os.setpgrp()
    parent = parent_process()
    assert parent

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def _through_a_pipe(item: Any) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Tensors would go through shared memory, of which a container has 64 MiB by default."""
    inputs, targets, weight = item
    return inputs.numpy(), targets.numpy(), weight


def is_of_a_lost_worker(error: RuntimeError) -> bool:
    """Whether a process that augments has ended, as where memory is short: torch's message says so."""
    return str(error).startswith("DataLoader worker (pid")
