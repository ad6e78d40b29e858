"""Bipolar integrate-and-fire neurons that settle within a bin, and the rounding that they settle to."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update, write
from bmi_decoder.machine.kernels.jit import exact_kernel
from bmi_decoder.machine.kernels.window import ring_index

BIF = Instruction(
    37,
    "bif",
    (
        ("spikes", Kind.ARENA),
        ("trace", Kind.ARENA),
        ("current", Kind.ARENA),
        ("n", Kind.SIZE),
        ("steps", Kind.SIZE),
        ("limits", Kind.PARAMS),
    ),
    lambda o: (
        *update(o["current"], o["n"]),
        *param(o["limits"], 2),
        write(o["trace"], o["n"]),
        write(o["spikes"], train_size(o["n"], o["steps"])),
    ),
    {},
)
BIF_DRIVEN = Instruction(
    38,
    "bif_driven",
    (
        ("spikes", Kind.ARENA),
        ("trace", Kind.ARENA),
        ("current", Kind.ARENA),
        ("arriving", Kind.ARENA),
        ("n_in", Kind.SIZE),
        ("n", Kind.SIZE),
        ("steps_in", Kind.SIZE),
        ("steps", Kind.SIZE),
        ("weight", Kind.PARAMS),
        ("limits", Kind.PARAMS),
    ),
    lambda o: (
        *update(o["current"], o["n"]),
        read(o["arriving"], train_size(o["n_in"], o["steps_in"])),
        *param(o["weight"], o["n_in"] * o["n"]),
        *param(o["limits"], 2),
        write(o["trace"], o["n"]),
        write(o["spikes"], train_size(o["n"], o["steps"])),
    ),
    {},
    work=lambda o: o["n"] * (o["n_in"] * o["steps_in"] + 2 * o["steps"]),
)
ROUND_HALF_UP = Instruction(
    39,
    "round_half_up",
    (("dst", Kind.ARENA), ("src", Kind.ARENA), ("n", Kind.SIZE), ("limits", Kind.PARAMS)),
    lambda o: (read(o["src"], o["n"]), *param(o["limits"], 2), write(o["dst"], o["n"])),
    {},
)


def train_size(n: int, steps: int) -> int:
    """Length of a spike train: the number of inner steps that were taken, then -1, 0 or 1 per step and neuron."""
    return 1 + steps * n


@exact_kernel
def settle(membrane, trace, spikes, low, high, arriving, arrived, weight):  # type: ignore[no-untyped-def]
    """Inner steps of one bin until no neuron fires and no spike is left to arrive, or `spikes` is full.

    `membrane` (n) comes with the injected current in units of the threshold; each step adds the weights (n_in, n) of
    the spikes that arrive in it, and then ``o = +1`` where ``q >= 1`` and the trace is below `high`, ``-1`` where
    ``q < 0`` and it is above `low``; ``q -= o``, ``trace += o``. Returns the number of steps; the rest of `spikes`
    is cleared. A NaN fires NaN.
    """
    n = membrane.size
    n_in = weight.size // n
    steps = spikes.size // n
    one = np.float32(1)
    for k in range(n):
        membrane[k] += np.float32(0.5)
        trace[k] = 0
    used = steps
    for t in range(steps):
        if t < arrived:
            for j in range(n_in):
                s = arriving[t * n_in + j]
                if s != 0:
                    row = weight[j * n : (j + 1) * n]
                    for k in range(n):
                        membrane[k] += s * row[k]
        fired = False
        out = spikes[t * n : (t + 1) * n]
        for k in range(n):
            o = np.floor(membrane[k])
            o = -one if o < -one else o
            o = one if o > one else o
            after = trace[k] + o
            after = low if after < low else after
            after = high if after > high else after
            o = after - trace[k]
            membrane[k] -= o
            trace[k] = after
            out[k] = o
            fired |= o != 0
        if not fired and t + 1 >= arrived:
            used = max(t, arrived)
            for i in range((t + 1) * n, steps * n):
                spikes[i] = 0
            break
    return used


@exact_kernel
def bif(arena, params, spikes, trace, current, n, steps, limits):  # type: ignore[no-untyped-def]
    """Neurons that get all of their input at the first inner step."""
    train = arena[spikes + 1 : spikes + 1 + steps * n]
    used = settle(
        arena[current : current + n],
        arena[trace : trace + n],
        train,
        params[limits],
        params[limits + 1],
        train[:0],
        0,
        params[:0],
    )
    arena[spikes] = np.float32(used)


@exact_kernel
def bif_driven(arena, params, spikes, trace, current, arriving, n_in, n, steps_in, steps, weight, limits):  # type: ignore[no-untyped-def]
    """Neurons that get a current at the first inner step and the spikes of others as they come.

    How many steps of spikes there are is read from the arena, and limited to what the train can hold.
    """
    used = settle(
        arena[current : current + n],
        arena[trace : trace + n],
        arena[spikes + 1 : spikes + 1 + steps * n],
        params[limits],
        params[limits + 1],
        arena[arriving + 1 : arriving + 1 + steps_in * n_in],
        ring_index(arena[arriving], steps_in + 1),
        params[weight : weight + n_in * n],
    )
    arena[spikes] = np.float32(used)


@exact_kernel
def round_half_up(arena, params, dst, src, n, limits):  # type: ignore[no-untyped-def]
    """``floor(x + 1/2)``, limited to ``[low, high]``."""
    y = arena[dst : dst + n]
    x = arena[src : src + n]
    low, high = params[limits], params[limits + 1]
    for i in range(n):
        v = np.floor(x[i] + np.float32(0.5))
        v = low if v < low else v
        y[i] = high if v > high else v
