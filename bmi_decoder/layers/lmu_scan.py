"""Compiled loops of a spiking Legendre memory unit over time, for training: forward, and backward through time.

Populations stand one behind the other: M encoders u, the order * M elements of the memory m, H hidden neurons h.
"""

import numba
import numpy as np

from bmi_decoder.machine.kernels.legendre import advance

_F1, _F2, _F3 = "float32[::1]", "float32[:,::1]", "float32[:,:,::1]"


@numba.njit(inline="always")
def _fire(arriving, first, t, neurons, current, membrane, output):  # type: ignore[no-untyped-def]
    for i in range(arriving.size):
        k = first + i
        threshold, before = neurons[2, k], membrane[t, k]
        synapse = neurons[0, k] * current[t, k] + arriving[i]
        after = neurons[1, k] * before + synapse
        if before > threshold:
            after = after - threshold
        current[t + 1, k], membrane[t + 1, k] = synapse, after
        output[t + 1, k] = np.float32(after > threshold)


@numba.njit(inline="always")
def _add_rows(total, x, rows):  # type: ignore[no-untyped-def]
    """``total += x @ rows``; rows of zeros are skipped."""
    for j in range(x.size):
        v = x[j]
        if v != 0:
            row = rows[j]
            for k in range(total.size):
                total[k] += v * row[k]


@numba.njit(f"void({_F3}, {_F2}, {_F2}, {_F2}, {_F1}, {_F2}, {_F1}, {_F3}, {_F3}, {_F3})", cache=True)
def forward_scan(drive, around, recall, read, matrices, neurons, grid, current, membrane, output):  # type: ignore[no-untyped-def]
    """Fill `current`, `membrane` and `output` (B, T + 1, N), whose first row is the state before the first bin.

    `drive` (B, T, M + H) is what the input sends to u and h; `around` (H, M + H), `recall` (order M, M) and `read`
    (order M, H) hold one row per element that sends; `matrices` as in the machine's ``legendre``; `neurons` (3, N)
    alpha, beta and threshold; `grid` the step and limit of an analogue memory's readings, step 0 a spiking memory.
    An analogue memory's values are in `membrane`, its readings in `output`.
    """
    n_batch, n_time, _ = drive.shape
    n_memory, n_encoders = recall.shape
    order = n_memory // n_encoders
    hidden = n_encoders + n_memory
    total, arriving = np.empty(drive.shape[2], np.float32), np.empty(n_memory, np.float32)
    step, limit = grid[0], grid[1]
    for b in range(n_batch):
        now, mem, out = current[b], membrane[b], output[b]
        for t in range(n_time):
            total[:] = drive[b, t]
            _add_rows(total, out[t, hidden:], around)
            _add_rows(total[:n_encoders], out[t, n_encoders:hidden], recall)
            _fire(total[:n_encoders], 0, t, neurons, now, mem, out)
            if step == 0:
                advance(arriving, out[t, n_encoders:hidden], out[t + 1, :n_encoders], matrices, n_encoders, order)
                _fire(arriving, n_encoders, t, neurons, now, mem, out)
            else:
                after = mem[t + 1, n_encoders:hidden]
                advance(after, mem[t, n_encoders:hidden], out[t + 1, :n_encoders], matrices, n_encoders, order)
                now[t + 1, n_encoders:hidden] = 0
                for k in range(n_memory):
                    v = np.rint(after[k] / step) * step
                    out[t + 1, n_encoders + k] = min(max(v, -limit), limit)
            _add_rows(total[n_encoders:], out[t + 1, n_encoders:hidden], read)
            _fire(total[n_encoders:], hidden, t, neurons, now, mem, out)


@numba.njit(inline="always")
def _back(d_arriving, first, t, gradients, neurons, slope, current, membrane):  # type: ignore[no-untyped-def]
    """Through `_fire`; of `gradients`, those of membranes and currents go from the bin after to the bin before."""
    d_output, d_membrane, d_current, d_neurons = gradients
    one = np.float32(1)
    scale = np.float32(np.pi / 2) * slope
    for i in range(d_arriving.size):
        k = first + i
        threshold, before = neurons[2, k], membrane[t, k]
        u = scale * (membrane[t + 1, k] - threshold)
        through_spike = d_output[k] * slope / np.float32(2) / (one + u * u)
        d_after = d_membrane[k] + through_spike
        d_synapse = d_current[k] + d_after
        d_neurons[0, k] += d_synapse * current[t, k]
        d_neurons[1, k] += d_after * before
        d_neurons[2, k] -= through_spike
        if before > threshold:
            d_neurons[2, k] -= d_after
        d_membrane[k] = neurons[1, k] * d_after
        d_current[k] = neurons[0, k] * d_synapse
        d_arriving[i] = d_synapse


@numba.njit(f"void({_F3}, {_F2}, {_F2}, {_F2}, {_F1}, {_F2}, {_F1}, float32, {_F3}, {_F3}, {_F3}, {_F2})", cache=True)
def backward_scan(  # type: ignore[no-untyped-def]
    d_hidden, around, recall, read, matrices, neurons, grid, slope, current, membrane, d_drive, d_neurons
):
    """Gradients of the drive, and of `neurons` summed over lanes and time.

    `d_hidden` (B, T, H) are the loss gradients of the hidden spikes; `around` (M + H, H), `recall` (M, order M) and
    `read` (H, order M) hold one row per neuron that receives. The surrogate of a threshold is arctangent, no
    gradient flows through the decision to reset, and it passes straight through the rounding of readings.
    """
    n_batch, n_time, _ = d_drive.shape
    n_encoders, n_memory = recall.shape
    order = n_memory // n_encoders
    hidden = n_encoders + n_memory
    n = neurons.shape[1]
    d_memory = np.empty(n_memory, np.float32)
    # Written down as the forward step has it: column k of abar belongs to what coefficient k passes on.
    across = np.empty(order * (order + 1), np.float32)
    across[:] = 0
    for i in range(order):
        for k in range(order):
            across[k * order + i] = matrices[i * order + k]
    nothing = np.zeros(n_encoders, np.float32)
    for b in range(n_batch):
        d_output, d_membrane, d_current = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
        gradients = d_output, d_membrane, d_current, d_neurons
        for t in range(n_time - 1, -1, -1):
            d_now = d_drive[b, t]
            d_u, d_m = d_output[:n_encoders], d_output[n_encoders:hidden]
            for k in range(d_hidden.shape[2]):
                d_output[hidden + k] += d_hidden[b, t, k]
            _back(d_now[n_encoders:], hidden, t, gradients, neurons, slope, current[b], membrane[b])
            _add_rows(d_m, d_now[n_encoders:], read)
            if grid[0] == 0:
                _back(d_memory, n_encoders, t, gradients, neurons, slope, current[b], membrane[b])
            else:
                for k in range(n_memory):
                    inside = abs(membrane[b, t + 1, n_encoders + k]) <= grid[1]
                    d_memory[k] = d_membrane[n_encoders + k] + (d_m[k] if inside else np.float32(0))
            d_u[:] = 0
            for i in range(order):
                share = matrices[order * order + i]
                for j in range(n_encoders):
                    d_u[j] += share * d_memory[i * n_encoders + j]
            _back(d_now[:n_encoders], 0, t, gradients, neurons, slope, current[b], membrane[b])
            if grid[0] == 0:
                advance(d_m, d_memory, nothing, across, n_encoders, order)
            else:
                advance(d_membrane[n_encoders:hidden], d_memory, nothing, across, n_encoders, order)
                d_m[:] = 0
            _add_rows(d_m, d_now[:n_encoders], recall)
            d_output[hidden:] = 0
            _add_rows(d_output[hidden:], d_now, around)
