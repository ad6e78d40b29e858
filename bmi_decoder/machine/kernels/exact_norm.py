"""Layer normalisation that is the same number in every implementation."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, write
from bmi_decoder.machine.kernels.jit import exact_kernel

EXACT_LAYER_NORM = Instruction(
    19,
    "exact_layer_norm",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("n", Kind.SIZE),
        ("weight", Kind.PARAMS),
        ("bias", Kind.PARAMS),
        ("epsilon", Kind.PARAMS),
    ),
    lambda o: (
        read(o["src"], o["n"]),
        *param(o["weight"], o["n"]),
        *param(o["bias"], o["n"]),
        *param(o["epsilon"], 1),
        write(o["dst"], o["n"]),
    ),
    {},
)

HERON_STEPS = 16
"""Enough for variances from 1e-6 to 1e6."""


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
    total, squares = np.float32(0), np.float32(0)
    for i in range(n):
        total += x[i]
        squares += x[i] * x[i]
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
