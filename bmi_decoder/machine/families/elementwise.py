"""Instructions that take a vector element by element, and those that move it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from bmi_decoder.machine.assembler import Assembler, Slot
from bmi_decoder.machine.instruction import UNUSED
from bmi_decoder.machine.kernels.compress import CLAMP, LOG_SOFTPLUS, SQUARE_ROOT
from bmi_decoder.machine.kernels.elementwise import ADD, RELU, ZERO
from bmi_decoder.machine.kernels.gating import MULTIPLY, SILU
from bmi_decoder.machine.kernels.move import COPY
from bmi_decoder.machine.kernels.scale import AFFINE, BINARISE, QUANTISE


class Elementwise(Assembler):
    """Instructions that take a vector element by element, and those that move it."""

    def affine(self, x: Slot, scale: npt.ArrayLike, shift: npt.ArrayLike | None = None) -> Slot:
        """``x * scale + shift``, elementwise."""
        y = self.scratch(x.size)
        offset = UNUSED if shift is None else self.param(shift)
        self.emit(AFFINE, dst=y, src=x, n=x.size, scale=self.param(scale), shift=offset)
        return y

    def add(self, a: Slot, b: Slot) -> Slot:
        """``a + b``, elementwise."""
        y = self.scratch(a.size)
        self.emit(ADD, dst=y, a=a, b=b, n=a.size)
        return y

    def multiply(self, a: Slot, b: Slot) -> Slot:
        """``a * b``, elementwise."""
        y = self.scratch(a.size)
        self.emit(MULTIPLY, dst=y, a=a, b=b, n=a.size)
        return y

    def relu(self, x: Slot) -> Slot:
        """The positive part."""
        y = self.scratch(x.size)
        self.emit(RELU, dst=y, src=x, n=x.size)
        return y

    def silu(self, x: Slot) -> Slot:
        """``x sigmoid(x)``, elementwise."""
        y = self.scratch(x.size)
        self.emit(SILU, dst=y, src=x, n=x.size)
        return y

    def square_root(self, x: Slot) -> Slot:
        """``sign(x) sqrt(|x|)``, elementwise."""
        y = self.scratch(x.size)
        self.emit(SQUARE_ROOT, dst=y, src=x, n=x.size)
        return y

    def log_softplus(self, x: Slot) -> Slot:
        """``log(log(1 + exp(x)))``, elementwise."""
        y = self.scratch(x.size)
        self.emit(LOG_SOFTPLUS, dst=y, src=x, n=x.size)
        return y

    def clamp(self, x: Slot, low: float, high: float) -> Slot:
        """Values limited to ``[low, high]``."""
        y = self.scratch(x.size)
        self.emit(CLAMP, dst=y, src=x, n=x.size, limits=self.param([low, high]))
        return y

    def quantise(self, x: Slot, step: float, low: float, high: float) -> Slot:
        """Multiples of `step`, limited to ``[low, high]``."""
        y = self.scratch(x.size)
        self.emit(QUANTISE, dst=y, src=x, n=x.size, grid=self.param([step, low, high]))
        return y

    def binarise(self, x: Slot) -> Slot:
        """1 where the input is positive, else 0."""
        y = self.scratch(x.size)
        self.emit(BINARISE, dst=y, src=x, n=x.size)
        return y

    def zeros(self, size: int) -> Slot:
        """A vector that is cleared in every bin."""
        y = self.scratch(size)
        self.emit(ZERO, dst=y, n=size)
        return y

    def copy(self, x: Slot) -> Slot:
        """A copy, for what is still needed after its source has changed."""
        y = self.scratch(x.size)
        self.assign(y, x)
        return y

    def assign(self, target: Slot, x: Slot) -> None:
        """Copy a vector onto another, such as new state onto old."""
        self.emit(COPY, dst=target, src=x, n=x.size)

    def concatenate(self, parts: Sequence[Slot]) -> Slot:
        """Vectors one behind the other, copied."""
        sizes = [part.size for part in parts]
        y = self.scratch(sum(sizes))
        for target, part in zip(y.cut(*sizes), parts, strict=True):
            self.assign(target, part)
        return y
