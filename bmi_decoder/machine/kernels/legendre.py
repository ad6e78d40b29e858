"""Legendre memory: one small matrix for many inputs."""

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, write
from bmi_decoder.machine.kernels.jit import exact_kernel

LEGENDRE = Instruction(
    28,
    "legendre",
    (
        ("dst", Kind.ARENA),
        ("memory", Kind.ARENA),
        ("src", Kind.ARENA),
        ("n", Kind.SIZE),
        ("order", Kind.SIZE),
        ("matrices", Kind.PARAMS),
    ),
    lambda o: (
        read(o["memory"], o["n"] * o["order"]),
        read(o["src"], o["n"]),
        *param(o["matrices"], o["order"] * (o["order"] + 1)),
        write(o["dst"], o["n"] * o["order"]),
    ),
    {},
)


@exact_kernel
def advance(y, m, u, matrices, n, order):  # type: ignore[no-untyped-def]
    """``y[i] = bbar[i] u + abar[i, 0] m[0] + abar[i, 1] m[1] + ...``, rounded after every operation, in this order.

    y and m hold `order` rows of n, u holds n, `matrices` holds abar by rows and then bbar.
    """
    for i in range(order):
        row = y[i * n : (i + 1) * n]
        b = matrices[order * order + i]
        for j in range(n):
            row[j] = b * u[j]
        for k in range(order):
            a = matrices[i * order + k]
            before = m[k * n : (k + 1) * n]
            for j in range(n):
                row[j] += a * before[j]


@exact_kernel
def legendre(arena, params, dst, memory, src, n, order, matrices):  # type: ignore[no-untyped-def]
    """One bin of a Legendre memory for each of n inputs; `dst` is not the memory itself."""
    advance(
        arena[dst : dst + n * order],
        arena[memory : memory + n * order],
        arena[src : src + n],
        params[matrices : matrices + order * (order + 1)],
        n,
        order,
    )
