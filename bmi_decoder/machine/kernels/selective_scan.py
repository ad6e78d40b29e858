"""One bin of a selective state space."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update, write
from bmi_decoder.machine.kernels.activation import exp32, softplus32
from bmi_decoder.machine.kernels.jit import kernel

SELECTIVE_SCAN = Instruction(
    35,
    "selective_scan",
    (
        ("dst", Kind.ARENA),
        ("src", Kind.ARENA),
        ("delta", Kind.ARENA),
        ("mixing", Kind.ARENA),
        ("state", Kind.ARENA),
        ("n", Kind.SIZE),
        ("n_state", Kind.SIZE),
        ("rates", Kind.PARAMS),
        ("skip", Kind.PARAMS),
    ),
    lambda o: (
        read(o["src"], o["n"]),
        read(o["delta"], o["n"]),
        read(o["mixing"], 2 * o["n_state"]),
        *param(o["rates"], o["n"] * o["n_state"]),
        *param(o["skip"], o["n"]),
        *update(o["state"], o["n"] * o["n_state"]),
        write(o["dst"], o["n"]),
    ),
    {},
)


@kernel
def selective_scan(  # type: ignore[no-untyped-def]
    arena, params, dst, src, delta, mixing, state, n, n_state, rates, skip
):
    """``d = softplus(delta)``, ``h = exp(d A) h + d B u``, ``y = C . h + D u``; `mixing` holds B, then C.

    `rates` holds A (n, n_state), which is negative, and `skip` holds D.
    """
    u = arena[src : src + n]
    raw = arena[delta : delta + n]
    b = arena[mixing : mixing + n_state]
    c = arena[mixing + n_state : mixing + 2 * n_state]
    d_skip = params[skip : skip + n]
    y = arena[dst : dst + n]
    for i in range(n):
        y[i] = softplus32(raw[i])
    for i in range(n):
        step = y[i]
        drive = step * u[i]
        a = params[rates + i * n_state : rates + (i + 1) * n_state]
        h = arena[state + i * n_state : state + (i + 1) * n_state]
        total = np.float32(0)
        for j in range(n_state):
            h[j] = exp32(step * a[j]) * h[j] + drive * b[j]
            total += c[j] * h[j]
        y[i] = total + d_skip[i] * u[i]
