"""Compiled loops of LIF neurons over time, for training: forward, and backward through time."""

import numba
import numpy as np

from bmi_decoder.machine.kernels.spiking import RESET_SUBTRACT, RESET_ZERO

_F1, _F2, _F3 = "float32[::1]", "float32[:,::1]", "float32[:,:,::1]"


@numba.njit(f"void({_F3}, {_F2}, {_F1}, {_F1}, int64, {_F3}, {_F3})", cache=True)
def forward_scan(current, initial, beta, threshold, reset, spikes, membrane):  # type: ignore[no-untyped-def]
    """Fill `spikes` and `membrane` (B, T, N), rounding exactly as one step at a time does."""
    n_batch, n_time, n = current.shape
    for b in range(n_batch):
        for t in range(n_time):
            for k in range(n):
                before = membrane[b, t - 1, k] if t else initial[b, k]
                fired = before > threshold[k]
                if fired and reset == RESET_ZERO:
                    before = np.float32(0)
                after = beta[k] * before + current[b, t, k]
                if fired and reset == RESET_SUBTRACT:
                    after = after - threshold[k]
                membrane[b, t, k] = after
                spikes[b, t, k] = np.float32(after > threshold[k])


@numba.njit(f"void({_F3}, {_F3}, {_F2}, {_F3}, {_F1}, {_F1}, int64, float32, {_F3}, {_F2}, {_F1}, {_F1})", cache=True)
def backward_scan(  # type: ignore[no-untyped-def]
    d_spikes, d_outputs, initial, membrane, beta, threshold, reset, slope, d_current, d_initial, d_beta, d_threshold
):
    """Gradients of the currents, the first membrane, and beta and threshold summed over lanes and time.

    `d_spikes` and `d_outputs` (B, T, N) are the loss gradients of the spikes and of the membranes. On the way
    back `d_initial` holds the gradient that flows from bin t + 1 into the membrane of bin t.
    """
    n_batch, n_time, n = membrane.shape
    scale = np.float32(np.pi / 2) * slope
    for b in range(n_batch):
        d_initial[b] = 0
        for t in range(n_time - 1, -1, -1):
            for k in range(n):
                u = scale * (membrane[b, t, k] - threshold[k])
                through_spike = d_spikes[b, t, k] * slope / 2 / (1 + u * u)
                before = membrane[b, t - 1, k] if t else initial[b, k]
                d_membrane = d_initial[b, k] + d_outputs[b, t, k] + through_spike
                d_threshold[k] -= through_spike
                d_current[b, t, k] = d_membrane
                fired = before > threshold[k]
                if fired and reset == RESET_ZERO:
                    d_initial[b, k] = 0
                    continue
                if fired and reset == RESET_SUBTRACT:
                    d_threshold[k] -= d_membrane
                d_beta[k] += d_membrane * before
                d_initial[b, k] = beta[k] * d_membrane
