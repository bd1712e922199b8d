"""Rows of a table → features → a linear model, in one archive."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.artifacts.interface import Column
from training.data import LARGEST

# Standard deviations. What lies farther from the mean is taken to lie so far: a float32 squared, or
# one infinity less another, would be no answer.
FARTHEST = 1e6


class Features(nn.Module):
    """`rows` f32 [N, columns] → f32 [N, features].

    Numbers are standardised, within FARTHEST; one that is missing is the mean of those that training saw.
    A category is a 1 in its own place (one-hot); one that is missing is in none. Each column that may be
    missing has a feature that says whether it is.
    """

    numeric: Tensor
    mean: Tensor
    scale: Tensor
    category_column: Tensor
    category: Tensor
    optional: Tensor

    def __init__(self, columns: Sequence[Column], rows: NDArray[np.float32]) -> None:
        """`rows`: those of training."""
        super().__init__()
        numeric = [at for at, column in enumerate(columns) if not column.categories]
        known = rows[:, numeric].astype(np.float64)
        count = np.maximum((~np.isnan(known)).sum(axis=0), 1)
        mean = np.nansum(known, axis=0) / count
        spread = np.sqrt(np.nansum((known - mean) ** 2, axis=0) / count).astype(np.float32)
        pairs = [(at, i) for at, column in enumerate(columns) for i in range(len(column.categories))]
        optional = [at for at, column in enumerate(columns) if column.optional]
        self.register_buffer("numeric", torch.tensor(numeric, dtype=torch.long))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.farthest = FARTHEST
        self.register_buffer("scale", torch.from_numpy(np.where(spread > 0, spread, np.float32(1))))
        self.register_buffer("category_column", torch.tensor([at for at, _ in pairs], dtype=torch.long))
        self.register_buffer("category", torch.tensor([i for _, i in pairs], dtype=torch.float32))
        self.register_buffer("optional", torch.tensor(optional, dtype=torch.long))

    @property
    def count(self) -> int:
        return len(self.numeric) + len(self.category) + len(self.optional)

    def forward(self, rows: Tensor) -> Tensor:
        standard = ((rows[:, self.numeric] - self.mean) / self.scale).clamp(-self.farthest, self.farthest)
        standard = torch.where(standard.isnan(), torch.zeros_like(standard), standard)
        one_hot = (rows[:, self.category_column] == self.category).to(torch.float32)
        missing = rows[:, self.optional].isnan().to(torch.float32)
        return torch.cat([standard, one_hot, missing], dim=1)


class TableNet(nn.Module):
    """A linear model of a table's features.

    `output`: "binary" answers the logistic function of one number, "classes" the softmax of several,
    "numbers" a number in the units of what it was fitted to.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, features: Features, weight: Tensor, bias: Tensor, output: str) -> None:
        """`weight` [features, outputs], `bias` [outputs], f64."""
        super().__init__()
        self.features = features
        self.output = output
        self.largest = LARGEST
        self.register_buffer("weight", weight.to(torch.float32))
        self.register_buffer("bias", bias.to(torch.float32))

    def forward(self, rows: Tensor) -> Tensor:
        numbers: Tensor = self.features(rows) @ self.weight + self.bias
        if self.output == "binary":
            return numbers.sigmoid()
        if self.output == "classes":
            return numbers.softmax(dim=1)
        return numbers.clamp(-self.largest, self.largest)
