"""Instructions that look back over a number of bins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.assembler import Assembler, Slot
from bmi_decoder.machine.kernels.causal_conv import CAUSAL_CONV
from bmi_decoder.machine.kernels.history import HISTORY, SUB_WINDOWS, history_state_size, sub_windows_state_size
from bmi_decoder.machine.kernels.window import BOXCAR, FIR, boxcar_state_size, fir_state_size


class Windows(Assembler):
    """Instructions that look back over a number of bins."""

    def boxcar(self, x: Slot, width: int, name: str = "boxcar") -> Slot:
        """Sum of the last `width` inputs."""
        y = self.scratch(x.size)
        state = self.zero_state(name, boxcar_state_size(x.size, width))
        self.emit(BOXCAR, dst=y, src=x, n=x.size, width=width, state=state)
        return y

    def fir(self, x: Slot, taps: npt.ArrayLike, name: str = "fir") -> Slot:
        """FIR filter on every element, oldest tap first; passes the input through until its ring is full."""
        y = self.scratch(x.size)
        width = np.size(taps)
        state = self.zero_state(name, fir_state_size(x.size, width))
        self.emit(FIR, dst=y, src=x, n=x.size, width=width, taps=self.param(taps), state=state)
        return y

    def history(self, x: Slot, width: int, name: str = "history") -> Slot:
        """The last `width` inputs, one behind the other."""
        y = self.scratch(x.size * width)
        state = self.zero_state(name, history_state_size(x.size, width))
        self.emit(HISTORY, dst=y, src=x, n=x.size, width=width, state=state)
        return y

    def sub_windows(self, x: Slot, width: int, count: int, name: str = "sub_windows") -> Slot:
        """Sums over `count` adjoining sub-windows of `width` inputs each."""
        y = self.scratch(x.size * count)
        state = self.zero_state(name, sub_windows_state_size(x.size, width, count))
        self.emit(SUB_WINDOWS, dst=y, src=x, n=x.size, width=width, count=count, state=state)
        return y

    def causal_conv(self, x: Slot, taps: npt.ArrayLike, bias: npt.ArrayLike, state: Slot) -> Slot:
        """Depthwise convolution over the last bins; `taps` (width, n), the oldest first."""
        y = self.scratch(x.size)
        width = np.size(taps) // x.size
        self.emit(
            CAUSAL_CONV, dst=y, src=x, n=x.size, width=width, taps=self.param(taps), bias=self.param(bias), state=state
        )
        return y
