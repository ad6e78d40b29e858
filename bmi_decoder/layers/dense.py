"""Linear layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmi_decoder.layers.exact_sums import Term, make_sums_exact
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


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

    def __init__(self, n_in: int, n_out: int, bias: bool = True) -> None:
        super().__init__()
        if n_in < 1 or n_out < 1:
            raise ValueError(f"a dense layer needs inputs and outputs, got {n_in} and {n_out}")
        self.linear = nn.Linear(n_in, n_out, bias)
        # Without one, ONNX Runtime takes what is added to the product later as its bias, which rounds otherwise.
        self._no_bias = None if bias else torch.zeros(n_out)

    def _product(self, x: Tensor) -> Tensor:
        if self._no_bias is not None and self._no_bias.device != x.device:
            self._no_bias = self._no_bias.to(x.device)
        return self.linear(x) if self._no_bias is None else nn.functional.linear(x, self.linear.weight, self._no_bias)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        return self._product(x), state

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in one product."""
        return self._product(x), state

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One linear instruction."""
        weight, bias = self.linear.weight.detach().numpy(), self.linear._parameters["bias"]
        return builder.linear(x, weight, None if bias is None else bias.detach().numpy())

    @torch.no_grad()
    def scale_output(self, scale: Tensor, shift: Tensor) -> None:
        """Become ``y * scale + shift``."""
        self.linear.weight.mul_(scale[:, None])
        self.linear.bias.mul_(scale).add_(shift)

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """One matrix."""
        return [Synapses((Product(self.linear.weight, x),))]

    def finalise(self, x_bound: float, x_step: float) -> tuple[float, float]:
        """Round to the grid of exact sums; see the class notes."""
        make_sums_exact([Term(self.linear.weight, x_bound, x_step)], self.linear.bias)
        return float("inf"), 0.0
