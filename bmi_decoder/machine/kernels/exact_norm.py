"""Layer normalisation that is the same number in every implementation."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction
from bmi_decoder.machine.kernels.jit import exact_kernel, kernel
from bmi_decoder.machine.kernels.scale import LAYER_NORM

EXACT_LAYER_NORM = Instruction(19, "exact_layer_norm", LAYER_NORM.operands, LAYER_NORM.accesses, {})

HERON_STEPS = 16
"""Enough for variances from 1e-6 to 1e6."""


@kernel
def moments(x):  # type: ignore[no-untyped-def]
    """Sum and sum of squares, in any order: it is `exact_layer_norm`'s caller who makes them exact."""
    total, squares = np.float32(0), np.float32(0)
    for i in range(x.size):
        total += x[i]
        squares += x[i] * x[i]
    return total, squares


@exact_kernel
def exact_layer_norm(arena, params, dst, src, n, weight, bias, epsilon):  # type: ignore[no-untyped-def]
    """``(x - mean) / sqrt(E[x^2] - mean^2 + eps) * weight + bias``, rounded after every operation.

    The root is Heron's, from additions, products and quotients, because torch's own is not always the nearest
    number. Where the inputs are whole multiples of a power of two and few enough, both sums are exact in any order.
    """
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    w = params[weight : weight + n]
    b = params[bias : bias + n]
    total, squares = moments(x)
    mean = total / np.float32(n)
    variance = squares / np.float32(n) - mean * mean
    variance = np.float32(0) if variance < 0 else variance
    variance = variance + params[epsilon]
    root = np.float32(0.5) * (variance + np.float32(1))
    for _ in range(HERON_STEPS):
        root = np.float32(0.5) * (root + variance / root)
    scale = np.float32(1) / root
    for i in range(n):
        y[i] = (x[i] - mean) * scale * w[i] + b[i]
