"""Decays that are learned as time constants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bmi_decoder.layers.kept import Kept


class LearnedDecay(Kept):
    """Learned decays per bin, ``exp(-1 / (tau softplus(p)))`` with tau in bins and p from 1 on."""

    def __init__(self, tau: Tensor) -> None:
        super().__init__()
        if not bool((tau > 0).all()):
            raise ValueError(f"time constants must be above 0 bins, got {tau.min()}")
        self.register_buffer("tau", tau.clone(), persistent=False)
        self.p = nn.Parameter(torch.ones_like(tau))
        self.keep()

    def compute(self) -> Tensor:
        """The decays."""
        return torch.exp(-1 / (self.get_buffer("tau") * nn.functional.softplus(self.p)))
