"""Instructions that mix all elements of a vector: products with a matrix, and norms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.assembler import Assembler, Slot
from bmi_decoder.machine.instruction import UNUSED
from bmi_decoder.machine.kernels.elementwise import ZERO
from bmi_decoder.machine.kernels.exact_norm import EXACT_LAYER_NORM
from bmi_decoder.machine.kernels.linear import ACCUMULATE, FEW, LINEAR, LINEAR_FEW, REPLACE
from bmi_decoder.machine.kernels.rms_norm import RMS_NORM
from bmi_decoder.machine.kernels.scale import LAYER_NORM


class Dense(Assembler):
    """Instructions that mix all elements of a vector: products with a matrix, and norms."""

    def linear(
        self,
        x: Slot,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        onto: Slot | None = None,
    ) -> Slot:
        """``W x + b`` with `weight` (n_out, n_in) as in torch; added onto `onto` where given."""
        matrix = np.asarray(weight, np.float32)
        n_out, n_in = matrix.shape
        if n_in != x.size:
            raise ValueError(f"weight takes {n_in} inputs, the vector has {x.size}")
        y = self.scratch(n_out) if onto is None else onto
        few = n_out < FEW
        self.emit(
            LINEAR_FEW if few else LINEAR,
            dst=y,
            src=x,
            n_in=n_in,
            n_out=n_out,
            weight=self.param(matrix if few else matrix.T),
            bias=UNUSED if bias is None else self.param(bias),
            mode=REPLACE if onto is None else ACCUMULATE,
        )
        return y

    def constant(self, values: npt.ArrayLike) -> Slot:
        """A vector that is the same in every bin: the bias of a product with nothing."""
        nothing = self.scratch(1)
        self.emit(ZERO, dst=nothing, n=1)
        return self.linear(nothing, np.zeros((np.size(values), 1)), values)

    def layer_norm(
        self, x: Slot, weight: npt.ArrayLike, bias: npt.ArrayLike, epsilon: float, exact: bool = False
    ) -> Slot:
        """Layer normalisation over the vector; `exact` rounds after every operation, for what feeds a threshold."""
        y = self.scratch(x.size)
        self.emit(
            EXACT_LAYER_NORM if exact else LAYER_NORM,
            dst=y,
            src=x,
            n=x.size,
            weight=self.param(weight),
            bias=self.param(bias),
            epsilon=self.param([epsilon]),
        )
        return y

    def rms_norm(self, x: Slot, weight: npt.ArrayLike, epsilon: float) -> Slot:
        """Root-mean-square normalisation over the vector."""
        y = self.scratch(x.size)
        self.emit(RMS_NORM, dst=y, src=x, n=x.size, weight=self.param(weight), epsilon=self.param([epsilon]))
        return y
