"""Sums, zeros and rectification of vectors."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, elementwise, read, write
from bmi_decoder.machine.kernels.jit import exact_kernel

RELU = elementwise(14, "relu")
ADD = Instruction(
    15,
    "add",
    (("dst", Kind.ARENA), ("a", Kind.ARENA), ("b", Kind.ARENA), ("n", Kind.SIZE)),
    lambda o: (read(o["a"], o["n"]), read(o["b"], o["n"]), write(o["dst"], o["n"])),
    {},
)
ZERO = Instruction(
    16,
    "zero",
    (("dst", Kind.ARENA), ("n", Kind.SIZE)),
    lambda o: (write(o["dst"], o["n"]),),
    {},
)


@exact_kernel
def relu(arena, dst, src, n):  # type: ignore[no-untyped-def]
    """The positive part; NaN stays NaN."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    for i in range(n):
        y[i] = np.float32(0) if x[i] <= 0 else x[i]


@exact_kernel
def add(arena, dst, a, b, n):  # type: ignore[no-untyped-def]
    """``a + b``, elementwise."""
    y = arena[dst : dst + n]
    u = arena[a : a + n]
    v = arena[b : b + n]
    for i in range(n):
        y[i] = u[i] + v[i]


@exact_kernel
def zero(arena, dst, n):  # type: ignore[no-untyped-def]
    """Clear a vector: the start of neurons that live within one bin."""
    y = arena[dst : dst + n]
    for i in range(n):
        y[i] = 0
