"""Functions that make large counts smaller, and limits."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, elementwise, param, read, write
from bmi_decoder.machine.kernels.activation import log_softplus32
from bmi_decoder.machine.kernels.jit import exact_kernel, kernel

SQUARE_ROOT = elementwise(21, "square_root")
LOG_SOFTPLUS = elementwise(22, "log_softplus")
CLAMP = Instruction(
    23,
    "clamp",
    (("dst", Kind.ARENA), ("src", Kind.ARENA), ("n", Kind.SIZE), ("limits", Kind.PARAMS)),
    lambda o: (read(o["src"], o["n"]), *param(o["limits"], 2), write(o["dst"], o["n"])),
    {},
)


@exact_kernel
def square_root(arena, dst, src, n):  # type: ignore[no-untyped-def]
    """``sign(x) sqrt(|x|)``, elementwise."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    for i in range(n):
        root = np.sqrt(abs(x[i]))
        y[i] = root if x[i] >= 0 else -root


@kernel
def log_softplus(arena, dst, src, n):  # type: ignore[no-untyped-def]
    """``log(log(1 + exp(x)))``, elementwise."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    for i in range(n):
        y[i] = log_softplus32(x[i])


@exact_kernel
def clamp(arena, params, dst, src, n, limits):  # type: ignore[no-untyped-def]
    """Limit to ``[low, high]``, which `limits` holds; NaN stays NaN."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    low, high = params[limits], params[limits + 1]
    for i in range(n):
        v = low if x[i] < low else x[i]
        y[i] = high if v > high else v
