"""Linear layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot

_MANTISSA = 24


class Dense(Layer):
    """``W x + b``, with torch's initial values.

    Notes
    -----
    Inputs that are whole multiples of a power of two (spikes, counts, quantised channels) make exact
    arithmetic possible: `finalise` rounds the weights and the bias of each output to a grid so fine that every
    partial sum fits the 24-bit mantissa of float32. The current is then the same number in whatever order it is
    summed, so the thresholds behind it fire identically in torch, ONNX and the streaming machine. With
    real-valued inputs nothing is rounded.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        return self.linear(x), state

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in one product."""
        return self.linear(x), state

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One linear instruction."""
        return builder.linear(x, self.linear.weight.detach().numpy(), self.linear.bias.detach().numpy())

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """One matrix."""
        return [Synapses((Product(self.linear.weight, x),))]

    @torch.no_grad()
    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Round to the grid of exact sums; see the class notes."""
        if not x_step or math.isinf(x_bound):
            return float("inf"), 0.0
        weight, bias = self.linear.weight, self.linear.bias
        largest = (weight.abs().sum(1) * x_bound + bias.abs()).clamp(min=1e-30)
        # One bit of head room, because rounding can push the largest sum over a power of two.
        step = torch.tensor([2.0 ** (math.frexp(value)[1] + 1 - _MANTISSA) for value in largest.tolist()])
        bias.copy_(torch.round(bias / step) * step)
        step = step[:, None] / x_step
        weight.copy_(torch.round(weight / step) * step)
        return float("inf"), 0.0
