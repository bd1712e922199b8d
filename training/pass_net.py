"""The network of `pass`."""

import torch
from torch import Tensor, nn


class PassNet(nn.Module):
    """Logistic regression: `hours f32 [N, 1]` → probability of passing `f32 [N, 1]`.

    sigmoid(w · (hours - shift) / scale + b), with shift 0 and scale 1 unless told otherwise.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.register_buffer("shift", torch.tensor(shift))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, hours: Tensor) -> Tensor:
        return torch.sigmoid(self.linear((hours - self.shift) / self.scale))

    def coefficients(self) -> tuple[float, float]:
        """Return w (per hour) and b of sigmoid(w · hours + b)."""
        w, b = self.linear.weight.item(), self.linear.bias.item()
        shift, scale = self.shift.item(), self.scale.item()
        return w / scale, b - w * shift / scale
