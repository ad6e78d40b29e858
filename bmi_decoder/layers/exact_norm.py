"""Layer normalisation in front of thresholds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from bmi_decoder.layers.normalise import LayerNorm
from bmi_decoder.machine.kernels.exact_norm import HERON_STEPS

if TYPE_CHECKING:
    from bmi_decoder.machine.builder import Builder, Slot


class ExactLayerNorm(LayerNorm):
    """Layer normalisation that is the same number in torch, ONNX and the streaming machine.

    The variance is ``E[x^2] - mean^2``. Where inputs are whole multiples of a power of two and limited to
    `limit` of them, both sums are exact in float32 whatever their order, and what follows is one rounding after
    the other: the root is Heron's, because torch's is not always the nearest number.
    """

    @staticmethod
    def limit(n: int) -> int:
        """Largest magnitude of n inputs, in units of their grid, for which the sums are exact."""
        return math.isqrt((1 << 24) // n)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        n = x.shape[-1]
        mean = x.sum(-1, keepdim=True) / n
        variance = (x * x).sum(-1, keepdim=True) / n - mean * mean
        variance = variance.clamp(min=0) + self.norm.eps
        root = 0.5 * (variance + 1)
        for _ in range(HERON_STEPS):
            root = 0.5 * (root + variance / root)
        return (x - mean) * (1 / root) * self.norm.weight + self.norm.bias

    def lower(self, builder: Builder, x: Slot) -> Slot:
        """One instruction."""
        weight, bias = (value.detach().numpy() for value in (self.norm.weight, self.norm.bias))
        return builder.layer_norm(x, weight, bias, self.norm.eps, exact=True)
