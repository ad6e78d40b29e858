"""Compiled loops of a selective state space over time, for training: forward, and backward through time."""

import numba
import numpy as np

from bmi_decoder.machine.kernels.activation import exp32
from bmi_decoder.machine.kernels.jit import FAST

_F2, _F3, _F4 = "float32[:,::1]", "float32[:,:,::1]", "float32[:,:,:,::1]"


@numba.njit(f"void({_F3}, {_F3}, {_F2}, {_F3}, {_F3}, {_F4}, {_F3})", fastmath=FAST, error_model="numpy", cache=True)
def forward_scan(u, delta, a, b, c, h, y):  # type: ignore[no-untyped-def]
    """Fill y (B, T, D) and, from its first row on, h (B, rows, D, N).

    With T + 1 rows every state is kept, as `backward_scan` needs it; with one row only the last.
    """
    n_batch, n_time, n = u.shape
    n_state = a.shape[1]
    kept = h.shape[1] > 1
    for lane in range(n_batch):
        for t in range(n_time):
            old = h[lane, t if kept else 0]
            new = h[lane, t + 1 if kept else 0]
            bt, ct = b[lane, t], c[lane, t]
            for i in range(n):
                step = delta[lane, t, i]
                drive = step * u[lane, t, i]
                total = np.float32(0)
                for j in range(n_state):
                    value = exp32(step * a[i, j]) * old[i, j] + drive * bt[j]
                    new[i, j] = value
                    total += ct[j] * value
                y[lane, t, i] = total


@numba.njit(
    f"void({_F3}, {_F3}, {_F3}, {_F2}, {_F3}, {_F3}, {_F4}, {_F3}, {_F3}, {_F2}, {_F3}, {_F3}, {_F3})",
    fastmath=FAST,
    error_model="numpy",
    cache=True,
)
def backward_scan(  # type: ignore[no-untyped-def]
    d_y, u, delta, a, b, c, h, d_u, d_delta, d_a, d_b, d_c, d_h
):
    """Gradients from those of y (B, T, D); all but d_u and d_delta are added to.

    `d_h` (B, D, N) holds, on the way back, the gradient that flows from bin t + 1 into the state of bin t, and at the
    end that of the first state.
    """
    n_batch, n_time, n = u.shape
    n_state = a.shape[1]
    for lane in range(n_batch):
        for t in range(n_time - 1, -1, -1):
            bt, ct, d_bt, d_ct = b[lane, t], c[lane, t], d_b[lane, t], d_c[lane, t]
            for i in range(n):
                step, x, g = delta[lane, t, i], u[lane, t, i], d_y[lane, t, i]
                drive = step * x
                old, new, back = h[lane, t, i], h[lane, t + 1, i], d_h[lane, i]
                d_step, d_drive = np.float32(0), np.float32(0)
                for j in range(n_state):
                    d_ct[j] += g * new[j]
                    flow = back[j] + g * ct[j]
                    through = flow * exp32(step * a[i, j])
                    d_rate = through * old[j]
                    d_a[i, j] += d_rate * step
                    d_step += d_rate * a[i, j]
                    d_drive += flow * bt[j]
                    d_bt[j] += flow * drive
                    back[j] = through
                d_u[lane, t, i] = d_drive * step
                d_delta[lane, t, i] = d_step + d_drive * x
