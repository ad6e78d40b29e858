"""The gates of a gated recurrent unit."""

from bmi_decoder.machine.instruction import Instruction, Kind, read, update
from bmi_decoder.machine.kernels.activation import sigmoid32, tanh32
from bmi_decoder.machine.kernels.jit import kernel

GRU_CELL = Instruction(
    13,
    "gru_cell",
    (("gates", Kind.ARENA), ("recurrent", Kind.ARENA), ("hidden", Kind.ARENA), ("n", Kind.SIZE)),
    lambda o: (
        read(o["gates"], 3 * o["n"]),
        read(o["recurrent"], 3 * o["n"]),
        *update(o["hidden"], o["n"]),
    ),
    {},
)


@kernel
def gru_cell(arena, gates, recurrent, hidden, n):  # type: ignore[no-untyped-def]
    """``h = (1 - z) tanh(x_n + r h_n) + z h``, gates in torch's order r, z, n.

    `gates` holds what comes from the input, `recurrent` what comes from the hidden vector: the reset gate
    multiplies only the latter.
    """
    x_r = arena[gates : gates + n]
    x_z = arena[gates + n : gates + 2 * n]
    x_n = arena[gates + 2 * n : gates + 3 * n]
    h_r = arena[recurrent : recurrent + n]
    h_z = arena[recurrent + n : recurrent + 2 * n]
    h_n = arena[recurrent + 2 * n : recurrent + 3 * n]
    h = arena[hidden : hidden + n]
    for k in range(n):
        candidate = tanh32(x_n[k] + sigmoid32(x_r[k] + h_r[k]) * h_n[k])
        h[k] = candidate + sigmoid32(x_z[k] + h_z[k]) * (h[k] - candidate)
