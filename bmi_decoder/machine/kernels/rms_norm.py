"""Root-mean-square normalisation."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, write
from bmi_decoder.machine.kernels.jit import kernel

RMS_NORM = Instruction(
    36,
    "rms_norm",
    (("dst", Kind.ARENA), ("src", Kind.ARENA), ("n", Kind.SIZE), ("weight", Kind.PARAMS), ("epsilon", Kind.PARAMS)),
    lambda o: (
        read(o["src"], o["n"]),
        *param(o["weight"], o["n"]),
        *param(o["epsilon"], 1),
        write(o["dst"], o["n"]),
    ),
    {},
)


@kernel
def rms_norm(arena, params, dst, src, n, weight, epsilon):  # type: ignore[no-untyped-def]
    """``x / sqrt(mean(x^2) + eps) * weight`` over the vector."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    w = params[weight : weight + n]
    squares = np.float32(0)
    for i in range(n):
        squares += x[i] * x[i]
    scale = np.float32(1) / np.sqrt(squares / np.float32(n) + params[epsilon])
    for i in range(n):
        y[i] = x[i] * scale * w[i]
