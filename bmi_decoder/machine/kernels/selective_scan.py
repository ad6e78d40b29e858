"""One bin of a selective state space."""

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update, write
from bmi_decoder.machine.kernels.activation import exp32, softplus32
from bmi_decoder.machine.kernels.jit import kernel

SELECTIVE_SCAN = Instruction(
    42,
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
        *update(o["delta"], o["n"]),
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

    `rates` holds A (n_state, n), which is negative, and `skip` holds D. `delta` is replaced by d. The inner loop runs
    over the n channels, which are many, and not over their few states.
    """
    u = arena[src : src + n]
    d = arena[delta : delta + n]
    b = arena[mixing : mixing + n_state]
    c = arena[mixing + n_state : mixing + 2 * n_state]
    d_skip = params[skip : skip + n]
    y = arena[dst : dst + n]
    for i in range(n):
        d[i] = softplus32(d[i])
    for i in range(n):
        y[i] = d_skip[i] * u[i]
    for j in range(n_state):
        a = params[rates + j * n : rates + (j + 1) * n]
        h = arena[state + j * n : state + (j + 1) * n]
        b_j, c_j = b[j], c[j]
        for i in range(n):
            h[i] = exp32(d[i] * a[i]) * h[i] + d[i] * u[i] * b_j
            y[i] += c_j * h[i]
