"""Root-mean-square normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmi_decoder.layers.normalise import Pointwise

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class RmsNorm(Pointwise):
    """``x / sqrt(mean(x^2) + eps) * weight`` over each bin. Zhang & Sennrich 2019, NeurIPS."""

    def __init__(self, n: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(n))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.rms_norm(x, self.weight.detach().numpy(), self.epsilon)
