"""Long short-term memory."""

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


class Lstm(Layer):
    """One LSTM layer with torch's parametrisation.

    State: ``h`` and ``c``, each (B, H).

    Parameters
    ----------
    n_in, n_hidden : int
    initial : str
        See `set_initial_weights`.
    """

    def __init__(self, n_in: int, n_hidden: int, initial: Initial) -> None:
        super().__init__()
        self.n_hidden = n_hidden
        self.lstm = nn.LSTM(n_in, n_hidden, batch_first=True)
        set_initial_weights(self.lstm, initial)

    def _parameter(self, name: str) -> nn.Parameter:
        return self.lstm.get_parameter(name)

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"h": torch.zeros(batch, self.n_hidden), "c": torch.zeros(batch, self.n_hidden)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin, written out so that it exports to ONNX operators."""
        h, c = state["h"], state["c"]
        p = self._parameter
        gates = nn.functional.linear(x, p("weight_ih_l0"), p("bias_ih_l0"))
        gates = gates + nn.functional.linear(h, p("weight_hh_l0"), p("bias_hh_l0"))
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, {"h": h, "c": c}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All bins in torch's fused implementation."""
        y, (h, c) = self.lstm(x, (state["h"][None].contiguous(), state["c"][None].contiguous()))
        return y, {"h": h[0], "c": c[0]}

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """Two products into one gate vector, then the cell."""
        p = {name: value.detach().numpy() for name, value in self.lstm.named_parameters()}
        hidden = builder.state("lstm.h", np.zeros(self.n_hidden))
        cell = builder.state("lstm.c", np.zeros(self.n_hidden))
        gates = builder.linear(x, p["weight_ih_l0"], p["bias_ih_l0"] + p["bias_hh_l0"])
        builder.linear(hidden, p["weight_hh_l0"], onto=gates)
        return builder.lstm_cell(gates, hidden, cell)

    def synapses(self, x: Tensor, y: Tensor, state: State) -> list[Synapses]:
        """Both matrices, and per unit and bin the products f * c, i * g and o * tanh(c).

        Gates are never zero, so only f * c with a memory that is empty is without effect.
        """
        h = torch.cat([state["h"][:, None], y[:, :-1]], 1)
        empty = int((state["c"] == 0).sum())
        p = self._parameter
        return [
            Synapses(
                (Product(p("weight_ih_l0"), x), Product(p("weight_hh_l0"), h)),
                (p("bias_ih_l0"), p("bias_hh_l0")),
                (3 * y.numel(), 3 * y.numel() - empty),
            )
        ]
