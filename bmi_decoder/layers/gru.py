"""Gated recurrent unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bmi_decoder.layers.initial_weights import Initial, set_initial_weights
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.synapses import Product, Synapses

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class Gru(Layer):
    """One GRU layer with torch's parametrisation and gate order r, z, n.

    State: ``h`` (B, H).

    Parameters
    ----------
    n_in, n_hidden : int
    initial : str
        See `set_initial_weights`.

    Notes
    -----
    Cho et al. 2014, EMNLP, in the form whose reset gate multiplies the recurrent product (cuDNN, torch).
    """

    def __init__(self, n_in: int, n_hidden: int, initial: Initial) -> None:
        super().__init__()
        self.n = n_hidden
        self.gru = nn.GRU(n_in, n_hidden, batch_first=True)
        set_initial_weights(self.gru, initial)

    def _parameter(self, name: str) -> nn.Parameter:
        return self.gru.get_parameter(name)

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"h": torch.zeros(batch, self.n)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin, written out so that it exports to ONNX operators."""
        h, p = state["h"], self._parameter
        x_r, x_z, x_n = nn.functional.linear(x, p("weight_ih_l0"), p("bias_ih_l0")).chunk(3, 1)
        h_r, h_z, h_n = nn.functional.linear(h, p("weight_hh_l0"), p("bias_hh_l0")).chunk(3, 1)
        candidate = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
        h = candidate + torch.sigmoid(x_z + h_z) * (h - candidate)
        return h, {"h": h}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in torch's fused implementation."""
        y, h = self.gru(x, state["h"][None].contiguous())
        return y, {"h": h[0]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Two products, then the cell."""
        return self.lower_onto(builder, x, builder.state("gru.h", np.zeros(self.n)))

    def lower_onto(self, builder: Builder, x: Slot, hidden: Slot) -> Slot:
        """The same with the hidden vector in a given place."""
        p = {name: value.detach().numpy() for name, value in self.gru.named_parameters()}
        gates = builder.linear(x, p["weight_ih_l0"], p["bias_ih_l0"])
        recurrent = builder.linear(hidden, p["weight_hh_l0"], p["bias_hh_l0"])
        return builder.gru_cell(gates, recurrent, hidden)

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Both matrices, and per unit and bin the products r * h_n, (1 - z) * n and z * h.

        Gates are never zero, so only z * h with a memory that is empty is without effect.
        """
        h = torch.cat([state["h"][:, None], y[:, :-1]], 1)
        empty = int((state["h"] == 0).sum())
        p = self._parameter
        return [
            Synapses(
                (Product(p("weight_ih_l0"), x), Product(p("weight_hh_l0"), h)),
                (p("bias_ih_l0"), p("bias_hh_l0")),
                (3 * y.numel(), 3 * y.numel() - empty),
            )
        ]
