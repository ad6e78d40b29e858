"""Cells of recurrent networks without spikes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.assembler import Assembler, Slot
from bmi_decoder.machine.kernels.gru import GRU_CELL
from bmi_decoder.machine.kernels.legendre import LEGENDRE
from bmi_decoder.machine.kernels.lstm import LSTM_CELL


class Recurrent(Assembler):
    """Cells of recurrent networks without spikes."""

    def lstm_cell(self, gates: Slot, hidden: Slot, cell: Slot) -> Slot:
        """Apply LSTM gates to the state; returns the hidden vector."""
        self.emit(LSTM_CELL, gates=gates, hidden=hidden, cell=cell, n=hidden.size)
        return hidden

    def gru_cell(self, gates: Slot, recurrent: Slot, hidden: Slot) -> Slot:
        """Apply GRU gates to the state; returns the hidden vector."""
        self.emit(GRU_CELL, gates=gates, recurrent=recurrent, hidden=hidden, n=hidden.size)
        return hidden

    def legendre(self, memory: Slot, x: Slot, abar: npt.ArrayLike, bbar: npt.ArrayLike) -> Slot:
        """``abar memory + bbar x`` for every element of `x`; `memory` holds order times as many, order by order."""
        y = self.scratch(memory.size)
        self.emit(
            LEGENDRE,
            dst=y,
            memory=memory,
            src=x,
            n=x.size,
            order=memory.size // x.size,
            matrices=self.param(np.concatenate([np.ravel(abar), np.ravel(bbar)])),
        )
        return y
