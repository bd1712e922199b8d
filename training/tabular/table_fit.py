"""Linear models by least loss: convex, so the seed decides only which rows they are judged by.

Logistic regression by L-BFGS, ridge regression in closed form (Hastie, Tibshirani, Friedman, The Elements
of Statistical Learning, sections 4.4 and 3.4.1); how much weights are held down, by cross-validation.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

# What the squares of the weights count: a loss of so much, over the sum of those of all rows.
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
USUAL = 1.0  # which is taken where nothing is better
FOLDS = 5
# More rows are judged by one fold alone, and fitted by no more than so many while the penalty is chosen.
MANY_ROWS, ENOUGH_ROWS = 20_000, 20_000
MAX_ITERATIONS, TOLERANCE = 200, 1e-7

Weights = tuple[Tensor, Tensor]  # f64 [features, outputs], [outputs]
Fitted = Callable[[Tensor, Tensor, float], Weights]


def fit_classes(features: Tensor, targets: Tensor, penalty: float, outputs: int) -> Weights:
    """Multinomial logistic regression. `features` f64 [N, F], `targets` i64 [N].

    The penalty on the weights of two classes is that on their difference: half the squares of both.
    """
    penalty = 2 * penalty if outputs == 2 else penalty
    parameters = torch.zeros(features.shape[1] + 1, outputs, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [parameters],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=TOLERANCE,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        weight, bias = parameters[:-1], parameters[-1]
        value = cross_entropy(features @ weight + bias, targets)
        value = value + penalty / (2 * len(targets)) * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    solved = parameters.detach()
    return solved[:-1], solved[-1]


def fit_number(features: Tensor, targets: Tensor, penalty: float) -> Weights:
    """Ridge regression. `features` f64 [N, F], `targets` f64 [N, 1]."""
    mean, middle = features.mean(0), targets.mean(0)
    centred = features - mean
    gram = centred.T @ centred + penalty * torch.eye(features.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, centred.T @ (targets - middle))
    return weight, middle - mean @ weight


def class_loss(numbers: Tensor, targets: Tensor) -> float:
    return cross_entropy(numbers, targets).item()


def number_loss(numbers: Tensor, targets: Tensor) -> float:
    return (numbers - targets).square().mean().item()


def choose_penalty(
    features: Tensor,
    targets: Tensor,
    fit: Fitted,
    loss: Callable[[Tensor, Tensor], float],
    generator: torch.Generator,
    done: Callable[[], object],
) -> float:
    """The penalty of least loss on rows that were not fitted to; `done` is told of each that was tried.

    The usual one, unless another is better by more than twice its standard error over the folds.
    """
    folds = list(_folds(len(targets), generator))
    losses = torch.zeros(len(PENALTIES), len(folds), dtype=torch.float64)
    for i, penalty in enumerate(PENALTIES):
        for k, (train, judged) in enumerate(folds):
            weight, bias = fit(features[train], targets[train], penalty)
            losses[i, k] = loss(features[judged] @ weight + bias, targets[judged])
        done()
    gain = losses[PENALTIES.index(USUAL)] - losses
    error = gain.std(dim=1) / len(folds) ** 0.5 if len(folds) > 1 else torch.zeros(len(PENALTIES))
    sure = gain.mean(1) > 2 * error
    best = min(range(len(PENALTIES)), key=lambda i: losses[i].mean().item() if sure[i] else math.inf)
    return PENALTIES[best] if sure[best] else USUAL


def _folds(rows: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(rows, generator=generator)
    parts = order.chunk(FOLDS)
    for i in range(1 if rows > MANY_ROWS else len(parts)):
        train: Sequence[Tensor] = [*parts[:i], *parts[i + 1 :]]
        yield torch.cat(list(train))[:ENOUGH_ROWS] if len(train) else order, parts[i]
