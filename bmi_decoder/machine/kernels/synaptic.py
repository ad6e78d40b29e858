"""Spiking neurons with a synaptic current and a multiplicative reset."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update
from bmi_decoder.machine.kernels.jit import exact_kernel

DIRECT, DELAYED = 0, 1

SYNAPTIC_LIF = Instruction(
    20,
    "synaptic_lif",
    (
        ("spikes", Kind.ARENA),
        ("drive", Kind.ARENA),
        ("membrane", Kind.ARENA),
        ("current", Kind.ARENA),
        ("n", Kind.SIZE),
        ("decays", Kind.PARAMS),
        ("order", Kind.CHOICE),
    ),
    lambda o: (
        *update(o["spikes"], o["n"]),
        read(o["drive"], o["n"]),
        *update(o["membrane"], o["n"]),
        *update(o["current"], o["n"]),
        *param(o["decays"], 3 * o["n"]),
    ),
    {"order": (DIRECT, DELAYED)},
)


@exact_kernel
def synaptic_lif(arena, params, spikes, drive, membrane, current, n, decays, order):  # type: ignore[no-untyped-def]
    """One bin of ``I = ds I + drive; U = (dm U + (1 - dm) I) (1 - S); S = H(U - 1)``.

    `decays` holds ds, dm and 1 - dm of every neuron. ``DIRECT``: U takes the new current and is reset by the
    spike that it fired last. ``DELAYED``: every right-hand side is of the bin before, S is decided first.
    """
    s = arena[spikes : spikes + n]
    d = arena[drive : drive + n]
    u = arena[membrane : membrane + n]
    i_syn = arena[current : current + n]
    ds = params[decays : decays + n]
    dm = params[decays + n : decays + 2 * n]
    gain = params[decays + 2 * n : decays + 3 * n]
    one = np.float32(1)
    for k in range(n):
        after = ds[k] * i_syn[k] + d[k]
        if order == DELAYED:
            s[k] = np.float32(u[k] > one)
            u[k] = (dm[k] * u[k] + gain[k] * i_syn[k]) * (one - s[k])
        else:
            u[k] = (dm[k] * u[k] + gain[k] * after) * (one - s[k])
            s[k] = np.float32(u[k] > one)
        i_syn[k] = after
