"""Smooth gates."""

from bmi_decoder.machine.instruction import Instruction, Kind, elementwise, read, write
from bmi_decoder.machine.kernels.activation import sigmoid32
from bmi_decoder.machine.kernels.jit import exact_kernel, kernel

SILU = elementwise(33, "silu")
MULTIPLY = Instruction(
    34,
    "multiply",
    (("dst", Kind.ARENA), ("a", Kind.ARENA), ("b", Kind.ARENA), ("n", Kind.SIZE)),
    lambda o: (read(o["a"], o["n"]), read(o["b"], o["n"]), write(o["dst"], o["n"])),
    {},
)


@kernel
def silu(arena, dst, src, n):  # type: ignore[no-untyped-def]
    """``x sigmoid(x)``, elementwise."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    for i in range(n):
        y[i] = x[i] * sigmoid32(x[i])


@exact_kernel
def multiply(arena, dst, a, b, n):  # type: ignore[no-untyped-def]
    """``a * b``, elementwise."""
    y = arena[dst : dst + n]
    u = arena[a : a + n]
    v = arena[b : b + n]
    for i in range(n):
        y[i] = u[i] * v[i]
