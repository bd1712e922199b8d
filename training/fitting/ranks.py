"""The processes that fit one model together, as torchrun starts them; one alone where it does not."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import torch
from rich.console import Console
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from service.terminal import remark
from training.fitting.interruption import uninterrupted

T = TypeVar("T")
Forward = Callable[[Tensor], Tensor]

NUMBERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
PATIENCE = timedelta(days=30)  # torch's own is half an hour, and drawing what is no digit takes longer


class LaunchUnusable(Exception):
    """The environment is not as torchrun makes it, or does not fit the machine; the message says how."""


@dataclass(frozen=True)
class Ranks:
    """A process among those that fit a model. `local`: among those on its machine.

    A method that waits for the others has to be called by all of them, in the same order. Where one has
    ended, the rest end with an error of `torch.distributed`; see `is_of_a_lost_rank`. `patient`: the group
    in which one that is still at work is waited for; in the other one that falls silent is missed sooner.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    local_size: int = 1
    patient: distributed.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this process keeps checkpoints, judges, publishes and tells of it."""
        return self.rank == 0

    def console(self) -> Console:
        return Console(quiet=not self.first)

    def device(self, choice: str) -> str:
        """`choice` of --device, where each process of a machine has a GPU of its own.

        Raises LaunchUnusable.
        """
        if self.size == 1 or choice == "cpu":
            return choice
        gpus = torch.cuda.device_count()
        if choice not in ("auto", "cuda"):
            raise LaunchUnusable(f"--device {choice!r:.80}: of several processes it is auto, cpu or cuda")
        if choice == "auto" and not gpus:
            return "cpu"
        if self.local_size > gpus:
            raise LaunchUnusable(f"{self.local_size} processes on a machine with {gpus} GPUs")
        return f"cuda:{self.local}"

    def by_first(self, work: Callable[[], T], *, last: bool = False) -> T:
        """What `work` gives on the first rank, on all of them.

        `last`: a training ends with it. The rest wait for days; once it is done, one that is lost is told.
        """
        if self.size == 1:
            return work()
        given = [work() if self.first else None]
        group = self.patient if last else None
        try:
            distributed.broadcast_object_list(given, device=torch.device("cpu"), group=group)
        except RuntimeError as error:
            if not (last and self.first and is_of_a_lost_rank(error)):
                raise
            uninterrupted()  # torchrun ends the rest at once
            remark("Warning: another process of this training has ended; nothing was left for it to do")
        return given[0]  # type: ignore[return-value]

    @contextmanager
    def first_of_machine(self) -> Iterator[None]:
        """The first process of each machine goes before its others: what it downloads is there for them."""
        if self.size > 1 and self.local:
            distributed.barrier(self.patient)
        yield
        if self.size > 1 and not self.local:
            distributed.barrier(self.patient)

    def of_all(self, value: T) -> list[T]:
        """What each rank has, by rank."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def check_same(self, found: Callable[[], object], what: str) -> None:
        """Raises LaunchUnusable on every rank that has found other than the first one."""
        if self.size > 1 and found() != self.by_first(found):
            raise LaunchUnusable(f"{what} of process {self.rank} are others than those of process 0")

    def settings(self) -> dict[str, str | int | float | bool]:
        """What there is to say of it in a manifest, beside a recipe's hyper-parameters."""
        return {"processes": self.size} if self.size > 1 else {}

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all ranks' values, which are of one shape."""
        if self.size > 1:
            distributed.all_reduce(value.div_(self.size))
        return value

    def share(self, index: Tensor) -> tuple[Tensor, float]:
        """The rows of a batch that are this rank's, and what their mean loss counts.

        So the mean of what all ranks compute is that of the batch, however it is divided. One without a row
        takes the first, which counts nothing, as none may stay away.
        """
        if self.size == 1:
            return index, 1.0
        own = index[self.rank :: self.size]
        return own if len(own) else index[:1], len(own) * self.size / len(index)

    def parallel(self, net: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor]) -> Forward:
        """`forward` of the net, which becomes that of the first rank, whose gradients are averaged.

        Each rank normalizes batches by its own rows; running statistics are those of the first.
        """
        whole = _Forward(net, forward)
        return DistributedDataParallel(whole) if self.size > 1 else whole

    def part_seeds(self) -> None:
        """From here on each rank draws random numbers of its own; those of the first stay as they are."""
        if not self.first:
            torch.manual_seed(torch.initial_seed() + self.rank)


ALONE = Ranks()


class _Forward(nn.Module):
    """A net with what is asked of it, in the form that DistributedDataParallel takes."""

    def __init__(self, net: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net
        self._ask = forward

    def forward(self, inputs: Tensor) -> Tensor:
        return self._ask(self.net, inputs)


def launched() -> Ranks:
    """As torchrun's environment says, before anybody is waited for. Raises LaunchUnusable."""
    if "WORLD_SIZE" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        return ALONE
    missing = [name for name in (*NUMBERS, "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise LaunchUnusable(
            f"WORLD_SIZE is set and {', '.join(missing)} not: start several processes with torchrun"
        )
    try:
        rank, local, size, local_size = (int(os.environ[name]) for name in NUMBERS)
    except ValueError as error:
        raise LaunchUnusable(f"{', '.join(NUMBERS)} have to be numbers: {error}") from error
    return Ranks(rank, size, local, local_size)


@contextmanager
def joined(ranks: Ranks) -> Iterator[Ranks]:
    """Meet the others, and part when all is done. Raises LaunchUnusable where they cannot be met."""
    if ranks.size == 1:
        yield ranks
        return
    if not ranks.first:
        # One that waits inside of torch answers no handler of Python's, and has nothing to clean up.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
    try:
        distributed.init_process_group(_backend())
        patient = distributed.new_group(timeout=PATIENCE, backend="gloo")
    except (distributed.DistError, ValueError) as error:
        raise LaunchUnusable(f"the other processes cannot be met: {error}") from error
    assert isinstance(patient, distributed.ProcessGroup)  # torch has a number for who is no member
    yield replace(ranks, patient=patient)
    distributed.destroy_process_group()


def _backend() -> str:
    """What is said between processes goes over gloo; what is computed on GPUs is added up by NCCL."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def is_of_a_lost_rank(error: RuntimeError) -> bool:
    """Whether a rank was waited for that has ended: gloo says it by a RuntimeError that names its file."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
