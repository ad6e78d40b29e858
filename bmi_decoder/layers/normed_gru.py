"""Gated recurrent unit with a normalised memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from bmi_decoder.layers.gru import Gru
from bmi_decoder.layers.initial_weights import Initial
from bmi_decoder.layers.layer import Layer, State
from bmi_decoder.layers.normalise import LayerNorm

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class NormedGru(Gru):
    """A GRU layer whose hidden vector is layer-normalised in every step: ``h = LN(GRU(x, h))``.

    The normalised vector is the output and the memory. State: ``h`` (B, H).
    """

    def __init__(self, n_in: int, n_hidden: int, initial: Initial) -> None:
        super().__init__(n_in, n_hidden, initial)
        self.norm = LayerNorm(n_hidden)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One bin."""
        h, _ = super().step(x, state)
        h, _ = self.norm.step(h, {})
        return h, {"h": h}

    def scan(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Bin by bin: torch's fused implementation cannot normalise in between."""
        return Layer.scan(self, x, state)

    def lower_onto(self, builder: Builder, x: Slot, hidden: Slot) -> Slot:
        """The cell, its normalisation, and a copy back into the memory."""
        normalised = self.norm.lower(builder, super().lower_onto(builder, x, hidden))
        builder.assign(hidden, normalised)
        return hidden
