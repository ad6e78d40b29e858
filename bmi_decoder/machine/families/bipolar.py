"""Bipolar integrate-and-fire neurons, which settle in inner steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.assembler import Assembler, Slot
from bmi_decoder.machine.kernels.bif import BIF, BIF_DRIVEN, ROUND_HALF_UP, train_size


class Bipolar(Assembler):
    """Bipolar integrate-and-fire neurons, which settle in inner steps."""

    def bif(self, current: Slot, steps: int, low: int, high: int) -> tuple[Slot, Slot]:
        """Bipolar integrate-and-fire neurons on a current; returns their spike train and trace. Uses up `current`."""
        train, trace = self.scratch(train_size(current.size, steps)), self.scratch(current.size)
        limits = self.param([low, high])
        self.emit(BIF, spikes=train, trace=trace, current=current, n=current.size, steps=steps, limits=limits)
        return train, trace

    def bif_driven(
        self,
        current: Slot,
        arriving: Slot,
        weight: npt.ArrayLike,
        steps: int,
        low: int,
        high: int,
        trace: Slot | None = None,
    ) -> tuple[Slot, Slot]:
        """As `bif`, with another's spike train that arrives through `weight` (n, n_in); the trace may have a place."""
        matrix = np.asarray(weight, np.float32)
        n, n_in = matrix.shape
        train = self.scratch(train_size(n, steps))
        trace = self.scratch(n) if trace is None else trace
        self.emit(
            BIF_DRIVEN,
            spikes=train,
            trace=trace,
            current=current,
            arriving=arriving,
            n_in=n_in,
            n=n,
            steps_in=(arriving.size - 1) // n_in,
            steps=steps,
            weight=self.param(matrix.T),
            limits=self.param([low, high]),
        )
        return train, trace

    def round_half_up(self, x: Slot, low: int, high: int) -> Slot:
        """``floor(x + 1/2)``, limited to ``[low, high]``."""
        y = self.scratch(x.size)
        self.emit(ROUND_HALF_UP, dst=y, src=x, n=x.size, limits=self.param([low, high]))
        return y
