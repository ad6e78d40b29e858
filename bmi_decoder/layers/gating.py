"""Smooth activation of gates and of state-space models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmi_decoder.layers.normalise import Pointwise

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class Silu(Pointwise):
    """``x sigmoid(x)``, elementwise. Elfwing, Uchibe & Doya 2018, Neural Netw. 107 3."""

    def forward(self, x: Tensor) -> Tensor:
        """Activate."""
        return x * torch.sigmoid(x)

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.silu(x)
