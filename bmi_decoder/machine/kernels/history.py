"""The recent past in pieces: every bin of a window, or its sums over equal sub-windows.

As in `window`, a ring's position is a float32 in the state that is limited before use.
"""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, read, update, write
from bmi_decoder.machine.kernels.jit import kernel
from bmi_decoder.machine.kernels.window import ring_index

HISTORY = Instruction(
    17,
    "history",
    (("dst", Kind.ARENA), ("src", Kind.ARENA), ("n", Kind.SIZE), ("width", Kind.SIZE), ("state", Kind.ARENA)),
    lambda o: (
        read(o["src"], o["n"]),
        *update(o["state"], history_state_size(o["n"], o["width"])),
        write(o["dst"], o["n"] * o["width"]),
    ),
    {},
)
SUB_WINDOWS = Instruction(
    18,
    "sub_windows",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("n", Kind.SIZE),
        ("width", Kind.SIZE),
        ("count", Kind.SIZE),
        ("state", Kind.ARENA),
    ),
    lambda o: (
        read(o["src"], o["n"]),
        *update(o["state"], sub_windows_state_size(o["n"], o["width"], o["count"])),
        write(o["dst"], o["n"] * o["count"]),
    ),
    {},
)


def history_state_size(n: int, width: int) -> int:
    """Position, and a ring of `width` bins."""
    return 1 + n * width


def sub_windows_state_size(n: int, width: int, count: int) -> int:
    """Position, the running sums, and a ring of all bins."""
    return 1 + n * count + n * width * count


@kernel
def history(arena, dst, src, n, width, state):  # type: ignore[no-untyped-def]
    """The last `width` inputs one behind the other, the oldest first; zeros before the first input."""
    x = arena[src : src + n]
    ring = state + 1
    at = ring_index(arena[state], width)
    row = arena[ring + at * n : ring + (at + 1) * n]
    for i in range(n):
        row[i] = x[i]
    at = at + 1 if at + 1 < width else 0
    arena[state] = np.float32(at)
    older = arena[ring + at * n : ring + width * n]
    newer = arena[ring : ring + at * n]
    y = arena[dst : dst + n * width]
    n_older = (width - at) * n
    for i in range(n_older):
        y[i] = older[i]
    for i in range(at * n):
        y[n_older + i] = newer[i]


@kernel
def sub_windows(arena, dst, src, n, width, count, state):  # type: ignore[no-untyped-def]
    """Sums over `count` adjoining sub-windows of `width` inputs, the oldest sub-window first.

    Each bin, every sum gains the input that enters its sub-window and loses the one that leaves it; and one of
    the sums, in turn, is taken afresh. So the cost is the same in every bin, rounding cannot accumulate, and
    a NaN is gone `count` bins after it left.
    """
    x = arena[src : src + n]
    depth = width * count
    total = state + 1
    ring = total + n * count
    at = ring_index(arena[state], depth)
    for j in range(count):
        first = at + j * width
        first = first if first < depth else first - depth
        leaving = arena[ring + first * n : ring + (first + 1) * n]
        sums = arena[total + j * n : total + (j + 1) * n]
        if j + 1 < count:
            following = first + width
            following = following if following < depth else following - depth
            entering = arena[ring + following * n : ring + (following + 1) * n]
        else:
            entering = x
        for i in range(n):
            sums[i] += entering[i] - leaving[i]
    row = arena[ring + at * n : ring + (at + 1) * n]
    for i in range(n):
        row[i] = x[i]
    at = at + 1 if at + 1 < depth else 0
    arena[state] = np.float32(at)
    j = at % count
    sums = arena[total + j * n : total + (j + 1) * n]
    for i in range(n):
        sums[i] = 0
    for k in range(width):
        r = at + j * width + k
        r = r if r < depth else r - depth
        row = arena[ring + r * n : ring + (r + 1) * n]
        for i in range(n):
            sums[i] += row[i]
    y = arena[dst : dst + n * count]
    sums = arena[total : total + n * count]
    for i in range(n * count):
        y[i] = sums[i]
