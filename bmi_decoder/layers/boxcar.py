"""Sums over the recent past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmi_decoder.layers.layer import Layer, State

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class Boxcar(Layer):
    """Sum of the last `width` bins of each channel, with zeros before the recording.

    State: ``ring`` (B, width - 1, C), the bins before the current one, oldest first.
    """

    def __init__(self, n: int, width: int) -> None:
        super().__init__()
        if not isinstance(width, int) or width < 2:
            raise ValueError(f"a boxcar takes a whole number of at least 2 bins, got {width}")
        self.n, self.width = n, width

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"ring": torch.zeros(batch, self.width - 1, self.n)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        window = torch.cat([state["ring"], x[:, None]], 1)
        return window.sum(1), {"ring": window[:, 1:]}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins at once."""
        padded = torch.cat([state["ring"], x], 1)
        return padded.unfold(1, self.width, 1).sum(-1), {"ring": padded[:, x.shape[1] :]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        return builder.boxcar(x, self.width)

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Sums stay on the grid."""
        return x_bound * self.width, x_step
