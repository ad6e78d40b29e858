"""Depthwise convolution over the last bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class CausalConv(Layer):
    """``y_i(t) = b_i + sum_j w_ij x_i(t - width + 1 + j)``: every channel on its own, with zeros before the recording.

    Parameters
    ----------
    n : int
        Channels.
    width : int
        Bins that the kernel spans, the current one included; at least 2.

    Notes
    -----
    State: ``past`` (B, width - 1, n), the bins before the current one, oldest first. Initial weights are those of
    `torch.nn.Conv1d` with as many groups as channels.
    """

    def __init__(self, n: int, width: int) -> None:
        super().__init__()
        if not isinstance(width, int) or width < 2:
            raise ValueError(f"a convolution over time takes a whole number of at least 2 bins, got {width}")
        self.n, self.width = n, width
        limit = width**-0.5
        self.weight = nn.Parameter(torch.empty(n, width).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.empty(n).uniform_(-limit, limit))

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"past": torch.zeros(batch, self.width - 1, self.n)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        window = torch.cat([state["past"], x[:, None]], 1)
        return (window * self.weight.T).sum(1) + self.bias, {"past": window[:, 1:]}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins at once, one tap after the other."""
        padded, n_bins = torch.cat([state["past"], x], 1), x.shape[1]
        y = self.bias.expand(x.shape)
        for j in range(self.width):
            y = y + padded[:, j : j + n_bins] * self.weight[:, j]
        return y, {"past": padded[:, n_bins:]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        past = builder.state("conv.past", np.zeros((self.width - 1, self.n)))
        return builder.causal_conv(x, self.weight.detach().numpy().T, self.bias.detach().numpy(), past)

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """One product per tap and channel, with an effect where the bin under the tap is not zero."""
        padded, n_bins = torch.cat([state["past"], x], 1), x.shape[1]
        effective = sum(
            int(torch.count_nonzero(padded[:, j : j + n_bins] * (self.weight[:, j] != 0))) for j in range(self.width)
        )
        return [Synapses((), (self.weight,), (x.numel() * self.width, effective), vectors=x)]
