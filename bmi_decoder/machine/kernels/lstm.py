"""The gates of a long short-term memory cell."""

from bmi_decoder.machine.instruction import Instruction, Kind, read, update, write
from bmi_decoder.machine.kernels.activation import sigmoid32, tanh32
from bmi_decoder.machine.kernels.jit import kernel

LSTM_CELL = Instruction(
    8,
    "lstm_cell",
    (("gates", Kind.ARENA), ("hidden", Kind.ARENA), ("cell", Kind.ARENA), ("n", Kind.SIZE)),
    lambda o: (
        read(o["gates"], 4 * o["n"]),
        *update(o["cell"], o["n"]),
        write(o["gates"], 4 * o["n"]),
        write(o["hidden"], o["n"]),
    ),
    {},
)


@kernel
def lstm_cell(arena, gates, hidden, cell, n):  # type: ignore[no-untyped-def]
    """``c = f c + i g; h = o tanh(c)`` from gate pre-activations in torch's order i, f, g, o."""
    i = arena[gates : gates + n]
    f = arena[gates + n : gates + 2 * n]
    g = arena[gates + 2 * n : gates + 3 * n]
    o = arena[gates + 3 * n : gates + 4 * n]
    h = arena[hidden : hidden + n]
    c = arena[cell : cell + n]
    for k in range(n):
        c[k] = sigmoid32(f[k]) * c[k] + sigmoid32(i[k]) * tanh32(g[k])
    for k in range(n):
        h[k] = sigmoid32(o[k]) * tanh32(c[k])
