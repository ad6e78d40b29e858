"""Depthwise convolution over the last bins."""

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update, write
from bmi_decoder.machine.kernels.jit import kernel

CAUSAL_CONV = Instruction(
    32,
    "causal_conv",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("n", Kind.SIZE),
        ("width", Kind.SIZE),
        ("taps", Kind.PARAMS),
        ("bias", Kind.PARAMS),
        ("state", Kind.ARENA),
    ),
    lambda o: (
        read(o["src"], o["n"]),
        *param(o["taps"], o["n"] * o["width"]),
        *param(o["bias"], o["n"]),
        *update(o["state"], causal_conv_state_size(o["n"], o["width"])),
        write(o["dst"], o["n"]),
    ),
    {},
)


def causal_conv_state_size(n: int, width: int) -> int:
    """The bins before the current one, oldest first."""
    return n * (width - 1)


@kernel
def causal_conv(arena, params, dst, src, n, width, taps, bias, state):  # type: ignore[no-untyped-def]
    """``y_i = b_i + sum_j w_ji x_i(t - width + 1 + j)``, taps (width, n) with the oldest first.

    The few bins of a state are moved on by one row each time: less work than a ring's two halves.
    """
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    b = params[bias : bias + n]
    newest = params[taps + (width - 1) * n : taps + width * n]
    for i in range(n):
        y[i] = b[i] + newest[i] * x[i]
    for j in range(width - 1):
        row = arena[state + j * n : state + (j + 1) * n]
        w = params[taps + j * n : taps + (j + 1) * n]
        for i in range(n):
            y[i] += w[i] * row[i]
        following = arena[state + (j + 1) * n : state + (j + 2) * n] if j + 2 < width else x
        for i in range(n):
            row[i] = following[i]
