"""Leaky integrate-and-fire neurons."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update, write
from bmi_decoder.machine.kernels.jit import exact_kernel

RESET_NONE, RESET_SUBTRACT, RESET_ZERO = 0, 1, 2
SCALAR, PER_NEURON = 0, 1

LIF = Instruction(
    9,
    "lif",
    (
        ("dst", Kind.ARENA),
        ("current", Kind.ARENA),
        ("membrane", Kind.ARENA),
        ("n", Kind.SIZE),
        ("beta", Kind.PARAMS),
        ("threshold", Kind.PARAMS),
        ("reset", Kind.CHOICE),
        ("sharing", Kind.CHOICE),
    ),
    lambda o: (
        read(o["current"], o["n"]),
        *update(o["membrane"], o["n"]),
        *param(o["beta"], o["n"] if o["sharing"] == PER_NEURON else 1),
        *param(o["threshold"], o["n"] if o["sharing"] == PER_NEURON else 1),
        write(o["dst"], o["n"]),
    ),
    {"reset": (RESET_NONE, RESET_SUBTRACT, RESET_ZERO), "sharing": (SCALAR, PER_NEURON)},
)
LEAKY_INTEGRATOR = Instruction(
    10,
    "leaky_integrator",
    (
        ("dst", Kind.ARENA),
        ("current", Kind.ARENA),
        ("membrane", Kind.ARENA),
        ("n", Kind.SIZE),
        ("beta", Kind.PARAMS),
        ("sharing", Kind.CHOICE),
    ),
    lambda o: (
        read(o["current"], o["n"]),
        *update(o["membrane"], o["n"]),
        *param(o["beta"], o["n"] if o["sharing"] == PER_NEURON else 1),
        write(o["dst"], o["n"]),
    ),
    {"sharing": (SCALAR, PER_NEURON)},
)


@exact_kernel
def leak(before, current, beta, threshold, reset):  # type: ignore[no-untyped-def]
    """A membrane after one bin. What is not taken off is a zero taken off: that vectorises, a branch does not."""
    fired = before > threshold
    kept = np.float32(0) if fired and reset == RESET_ZERO else before
    return beta * kept + current - (threshold if fired and reset == RESET_SUBTRACT else np.float32(0))


@exact_kernel
def lif(arena, params, dst, current, membrane, n, beta, threshold, reset, sharing):  # type: ignore[no-untyped-def]
    """One bin of leaky integrate-and-fire with snnTorch's delayed reset.

    The reset is decided by the previous membrane, the spike by the new one, both with a strict ``>``. A reset
    to zero forgets the previous membrane, not the current that comes in.
    """
    s = arena[dst : dst + n]
    i_in = arena[current : current + n]
    m = arena[membrane : membrane + n]
    if sharing == PER_NEURON:
        decay, threshold_of = params[beta : beta + n], params[threshold : threshold + n]
        for k in range(n):
            m[k] = leak(m[k], i_in[k], decay[k], threshold_of[k], reset)
            s[k] = np.float32(m[k] > threshold_of[k])
    else:
        d, th = params[beta], params[threshold]
        for k in range(n):
            m[k] = leak(m[k], i_in[k], d, th, reset)
            s[k] = np.float32(m[k] > th)


@exact_kernel
def leaky_integrator(arena, params, dst, current, membrane, n, beta, sharing):  # type: ignore[no-untyped-def]
    """``m = beta m + I``; the output is the membrane."""
    y = arena[dst : dst + n]
    i_in = arena[current : current + n]
    m = arena[membrane : membrane + n]
    if sharing == PER_NEURON:
        decay = params[beta : beta + n]
        for k in range(n):
            m[k] = decay[k] * m[k] + i_in[k]
    else:
        d = params[beta]
        for k in range(n):
            m[k] = d * m[k] + i_in[k]
    for k in range(n):
        y[k] = m[k]
