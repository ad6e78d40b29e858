"""Functions that make large spike counts smaller: their variance grows with their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmi_decoder.layers.normalise import Pointwise

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

LOWEST = -20.0
"""Below it, log(softplus(x)) is x in float32."""


class SquareRoot(Pointwise):
    """``sign(x) sqrt(|x|)``: of a Poisson count, a number whose variance hardly depends on the rate.

    Notes
    -----
    Bartlett 1936, Suppl. J. R. Stat. Soc. 3. Without gradient at 0, so it belongs in front of the first weights.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Root of the magnitude."""
        return torch.sign(x) * torch.sqrt(torch.abs(x))

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.square_root(x)


class LogSoftplus(Pointwise):
    """``log(log(1 + exp(x)))``: the logarithm of large counts, and finite at 0; x itself far below."""

    def forward(self, x: Tensor) -> Tensor:
        """Logarithm of the softplus, without its underflow."""
        return torch.where(x < LOWEST, x, torch.log(torch.nn.functional.softplus(x.clamp(min=LOWEST))))

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.log_softplus(x)


class Clamp(Pointwise):
    """Values limited to ``[-limit, limit]``."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        """Limit."""
        return x.clamp(-self.limit, self.limit)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.clamp(x, -self.limit, self.limit)
