"""Compiled loops of recurrent spiking neurons with synaptic currents over time: forward, and backward through time."""

import numba
import numpy as np

from bmi_decoder.machine.kernels.synaptic import DELAYED

_F1, _F2, _F3 = "float32[::1]", "float32[:,::1]", "float32[:,:,::1]"


@numba.njit(f"void({_F3}, {_F2}, {_F2}, int64, {_F3}, {_F3}, {_F3})", cache=True)
def forward_scan(drive, recurrent, decays, order, spikes, membrane, current):  # type: ignore[no-untyped-def]
    """Fill `spikes`, `membrane` and `current` (B, T + 1, N), whose first row is the state before the first bin.

    That row is filled already. `recurrent` (N, N) holds one row per neuron that fires. Rounds as one step at a
    time does where the sums of weights are exact.
    """
    n_batch, n_time, n = drive.shape
    one = np.float32(1)
    total = np.empty(n, np.float32)
    for b in range(n_batch):
        for t in range(n_time):
            for k in range(n):
                total[k] = drive[b, t, k]
            for j in range(n):
                if spikes[b, t, j] != 0:
                    for k in range(n):
                        total[k] += recurrent[j, k]
            for k in range(n):
                u, i = membrane[b, t, k], current[b, t, k]
                after = decays[0, k] * i + total[k]
                if order == DELAYED:
                    s = np.float32(u > one)
                    u = (decays[1, k] * u + decays[2, k] * i) * (one - s)
                else:
                    u = (decays[1, k] * u + decays[2, k] * after) * (one - spikes[b, t, k])
                    s = np.float32(u > one)
                spikes[b, t + 1, k] = s
                membrane[b, t + 1, k] = u
                current[b, t + 1, k] = after


@numba.njit(f"void({_F3}, {_F2}, {_F2}, int64, float32, {_F3}, {_F3}, {_F3}, {_F3}, {_F2})", cache=True)
def backward_scan(d_spikes, transposed, decays, order, slope, spikes, membrane, current, d_drive, d_decays):  # type: ignore[no-untyped-def]
    """Gradients of the drive, and of the three decays summed over lanes and time.

    `d_spikes` (B, T + 1, N) are the loss gradients of all rows of `spikes`; `transposed` (N, N) holds one row per
    neuron that receives. The surrogate of the threshold at 1 is ``1 / (1 + slope |u - 1|)^2``; no gradient flows
    through the reset.
    """
    n_batch, n_time, n = d_drive.shape
    one = np.float32(1)
    d_u, d_i, d_s = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    for b in range(n_batch):
        d_u[:] = 0
        d_i[:] = 0
        d_s[:] = d_spikes[b, n_time]
        for t in range(n_time - 1, -1, -1):
            for k in range(n):
                u_before, i_before = membrane[b, t, k], current[b, t, k]
                if order == DELAYED:
                    kept = d_u[k] * (one - spikes[b, t + 1, k])
                    d_now = d_i[k]
                    d_decays[1, k] += kept * u_before
                    d_decays[2, k] += kept * i_before
                    falloff = one + slope * abs(u_before - one)
                    d_u[k] = decays[1, k] * kept + d_s[k] / (falloff * falloff)
                    d_i[k] = decays[0, k] * d_now + decays[2, k] * kept
                else:
                    falloff = one + slope * abs(membrane[b, t + 1, k] - one)
                    kept = (d_u[k] + d_s[k] / (falloff * falloff)) * (one - spikes[b, t, k])
                    d_now = d_i[k] + decays[2, k] * kept
                    d_decays[1, k] += kept * u_before
                    d_decays[2, k] += kept * current[b, t + 1, k]
                    d_u[k] = decays[1, k] * kept
                    d_i[k] = decays[0, k] * d_now
                d_decays[0, k] += d_now * i_before
                d_drive[b, t, k] = d_now
            for k in range(n):
                d_s[k] = d_spikes[b, t, k]
            for k in range(n):
                d_now = d_drive[b, t, k]
                for j in range(n):
                    d_s[j] += transposed[k, j] * d_now
