"""Resonate-and-fire neurons without reset."""

import numpy as np

from bmi_decoder.machine.instruction import Instruction, Kind, param, read, update, write
from bmi_decoder.machine.kernels.jit import exact_kernel

RESONATE_FIRE = Instruction(
    25,
    "resonate_fire",
    (
        ("dst", Kind.ARENA),
        ("drive", Kind.ARENA),
        ("state", Kind.ARENA),
        ("n", Kind.SIZE),
        ("resonators", Kind.PARAMS),
    ),
    lambda o: (
        read(o["drive"], 2 * o["n"]),
        *update(o["state"], 2 * o["n"]),
        *param(o["resonators"], 3 * o["n"]),
        write(o["dst"], o["n"]),
    ),
    {},
)


@exact_kernel
def resonate_fire(arena, params, dst, drive, state, n, resonators):  # type: ignore[no-untyped-def]
    """One bin of ``z = a z + eta d; s = H(Re z - 1)``.

    Drive and state hold n real parts and then n imaginary parts; `resonators` Re a, Im a and eta of every neuron.
    """
    s = arena[dst : dst + n]
    d_re, d_im = arena[drive : drive + n], arena[drive + n : drive + 2 * n]
    z_re, z_im = arena[state : state + n], arena[state + n : state + 2 * n]
    a_re = params[resonators : resonators + n]
    a_im = params[resonators + n : resonators + 2 * n]
    eta = params[resonators + 2 * n : resonators + 3 * n]
    one = np.float32(1)
    for k in range(n):
        re, im = z_re[k], z_im[k]
        z_re[k] = a_re[k] * re - a_im[k] * im + eta[k] * d_re[k]
        z_im[k] = a_re[k] * im + a_im[k] * re + eta[k] * d_im[k]
        s[k] = np.float32(z_re[k] > one)
