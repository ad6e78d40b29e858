"""Windows over the recent past: boxcar sums and FIR filters on rings.

A ring's position and fill are kept as float32 in the state. They are limited before use, so that a state from
elsewhere can never make a kernel leave its ring.
"""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update, write
from bmi_decoder.machine.kernels.jit import kernel

BOXCAR = Instruction(
    11,
    "boxcar",
    (("dst", Kind.ARENA), ("src", Kind.ARENA), ("n", Kind.SIZE), ("width", Kind.SIZE), ("state", Kind.ARENA)),
    lambda o: (
        read(o["src"], o["n"]),
        *update(o["state"], boxcar_state_size(o["n"], o["width"])),
        write(o["dst"], o["n"]),
    ),
    {},
)
FIR = Instruction(
    12,
    "fir",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("n", Kind.SIZE),
        ("width", Kind.SIZE),
        ("taps", Kind.PARAMS),
        ("state", Kind.ARENA),
    ),
    lambda o: (
        read(o["src"], o["n"]),
        *update(o["state"], fir_state_size(o["n"], o["width"])),
        *param(o["taps"], o["width"]),
        write(o["dst"], o["n"]),
    ),
    {},
)


def boxcar_state_size(n: int, width: int) -> int:
    """Position, n running sums, and a ring of `width` bins."""
    return 1 + n + n * width


def fir_state_size(n: int, width: int) -> int:
    """Position, fill, and a ring of `width` bins."""
    return 2 + n * width


@kernel
def ring_index(value, width):  # type: ignore[no-untyped-def]
    """A stored position as an index in ``[0, width)``; anything else, NaN included, counts as 0."""
    if value >= 0 and value < width:
        return np.int64(value)
    return np.int64(0)


@kernel
def boxcar(arena, dst, src, n, width, state):  # type: ignore[no-untyped-def]
    """Sum of the last `width` inputs, zeros before the first.

    The newest is added and the oldest subtracted; once per turn of the ring the sum is taken afresh, so
    rounding cannot accumulate and a NaN leaves the window.
    """
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    total = arena[state + 1 : state + 1 + n]
    ring = state + 1 + n
    at = ring_index(arena[state], width)
    row = arena[ring + at * n : ring + (at + 1) * n]
    for i in range(n):
        total[i] += x[i] - row[i]
        row[i] = x[i]
    at += 1
    if at == width:
        at = 0
        for i in range(n):
            total[i] = 0
        for k in range(width):
            row = arena[ring + k * n : ring + (k + 1) * n]
            for i in range(n):
                total[i] += row[i]
    arena[state] = np.float32(at)
    for i in range(n):
        y[i] = total[i]


@kernel
def fir(arena, params, dst, src, n, width, taps, state):  # type: ignore[no-untyped-def]
    """Weighted sum of the last `width` inputs, oldest tap first; the input itself until they have arrived.

    Summed from the oldest to the newest whatever the ring's position, so the result does not depend on it.
    """
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    h = params[taps : taps + width]
    ring = state + 2
    at = ring_index(arena[state], width)
    filled = ring_index(arena[state + 1], width + 1)
    row = arena[ring + at * n : ring + (at + 1) * n]
    for i in range(n):
        row[i] = x[i]
    at = at + 1 if at + 1 < width else 0
    filled = filled + 1 if filled < width else width
    arena[state] = np.float32(at)
    arena[state + 1] = np.float32(filled)
    if filled < width:
        for i in range(n):
            y[i] = x[i]
        return
    for i in range(n):
        y[i] = 0
    k = 0
    while k + 4 <= width:
        r0 = at + k if at + k < width else at + k - width
        r1 = at + k + 1 if at + k + 1 < width else at + k + 1 - width
        r2 = at + k + 2 if at + k + 2 < width else at + k + 2 - width
        r3 = at + k + 3 if at + k + 3 < width else at + k + 3 - width
        a0 = arena[ring + r0 * n : ring + (r0 + 1) * n]
        a1 = arena[ring + r1 * n : ring + (r1 + 1) * n]
        a2 = arena[ring + r2 * n : ring + (r2 + 1) * n]
        a3 = arena[ring + r3 * n : ring + (r3 + 1) * n]
        h0, h1, h2, h3 = h[k], h[k + 1], h[k + 2], h[k + 3]
        for i in range(n):
            y[i] += h0 * a0[i] + h1 * a1[i] + h2 * a2[i] + h3 * a3[i]
        k += 4
    while k < width:
        r = at + k if at + k < width else at + k - width
        a = arena[ring + r * n : ring + (r + 1) * n]
        hk = h[k]
        for i in range(n):
            y[i] += hk * a[i]
        k += 1
