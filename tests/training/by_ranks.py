"""What torchrun runs in `test_ranks.py`: small fits, of which the first rank writes what came of them."""

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import psutil
import torch
from rich.console import Console
from torch import Tensor, distributed, nn

from training.data import Rows
from training.digits import digit_recipe
from training.digits.digit_nets import DigitNet
from training.fitting.fit import Phase, fit
from training.fitting.ranks import ALONE, Ranks, joined, launched
from training.pictures import picture_recipe

QUIET = Console(quiet=True)
ROWS = 51
BATCHES = (24, 25)  # the last is of three rows, then of one, of which one of two ranks has none


@dataclass(frozen=True)
class Unweighted(Ranks):
    """The control: the mean of the ranks' means, as if each had as many rows."""

    def share(self, index: Tensor) -> tuple[Tensor, float]:
        return super().share(index)[0], 1.0


def noise(count: int, channels: int, size: int, classes: int) -> Rows:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, channels, size, size), generator=generator, dtype=torch.uint8)
    return Rows(images, torch.arange(count) % classes)


def vector(net: nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


def digits(ranks: Ranks = ALONE) -> Tensor:
    """Nothing of it is random but the order of rows, so it is the same for any number of ranks.

    Nor has it kinks, as ReLU has: on either side of one, the last digit decides.
    """
    recipe = digit_recipe.SOFTMAX_MLP
    hp = replace(recipe.hyperparameters, epochs=4, learning_rate=0.02, average_decay=0.9)
    phases = [Phase(replace(hp, batch_size=size)) for size in BATCHES]
    torch.manual_seed(5)
    net = DigitNet(nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 10)))
    validation = noise(20, 1, 28, 10) if ranks.first else None
    rows = noise(ROWS, 1, 28, 10)
    fitted, history = fit(net, digit_recipe.CROSS_ENTROPY, rows, phases, QUIET, validation, None, ranks)
    return torch.cat([vector(fitted), torch.tensor(history.train_loss, dtype=torch.float64)])


def pictures(ranks: Ranks) -> Tensor:
    """Convolutions learn by Muon here, batches are normalized, each rank's rows varied otherwise."""
    rows = noise(11, 3, 32, 3)
    hp = replace(picture_recipe.hyperparameters(len(rows.inputs), 1), batch_size=5)
    net = picture_recipe.start(rows.inputs, 3, 5)
    phases = picture_recipe.phases(hp, True)
    fit(net, picture_recipe.OBJECTIVE, rows, phases, QUIET, None, None, ranks)
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


def main() -> None:
    torch.set_num_threads(1)
    with joined(launched()) as ranks:
        unweighted = Unweighted(ranks.rank, ranks.size, ranks.local, ranks.local_size)
        found = {
            "digits": digits(ranks),
            "unweighted": digits(unweighted),
            "pictures": ranks.of_all(pictures(ranks)),
            "random": ranks.of_all(torch.rand(3)),
        }
        _, second = ranks.of_all(os.getpid())
        # Who does not wait so long ends with an error, and torchrun with it.
        distributed.set_timeout(timedelta(seconds=1), distributed.group.WORLD)
        ranks.by_first(lambda: time.sleep(2), last=True)
        if not ranks.first:
            os._exit(0)
        found["last"] = ranks.by_first(lambda: ended(second), last=True)
        torch.save(found, sys.argv[1])


def ended(process: int) -> str:
    """Once another process has ended, of which torchrun has to hear yet."""
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    return "done"


if __name__ == "__main__":
    main()
