"""Bipolar integrate-and-fire neurons over many bins, compiled."""

from __future__ import annotations

import numpy as np

from bmi_decoder.machine.kernels.bif import settle
from bmi_decoder.machine.kernels.jit import exact_kernel


@exact_kernel
def settle_scan(current, recurrent, initial, arriving, arrived, weight, low, high, spikes, used, trace):  # type: ignore[no-untyped-def]
    """Let n neurons settle in every bin of every lane.

    Parameters
    ----------
    current : array (B, T, n)
        Injected at the first inner step, in units of the threshold; used up.
    recurrent : array (n, n) or (0, 0)
        One row per neuron that sends, multiplied with what it settled to in the bin before and injected with the
        current; empty where neurons remember nothing.
    initial : array (B, n)
        What they settled to before the first bin.
    arriving : array (B, T, steps_in * n_in)
        Spikes of others.
    arrived : array (B, T)
        Inner steps of those.
    weight : array (n_in * n)
        One row per neuron that sends; empty without others.
    low, high : float
        Limits of the trace.
    spikes : array (B, T, steps * n), used : array (B, T), trace : array (B, T, n)
        Results, see `settle`.
    """
    n_lanes, n_bins, n = current.shape
    for b in range(n_lanes):
        for t in range(n_bins):
            membrane = current[b, t]
            before = initial[b] if t == 0 else trace[b, t - 1]
            for j in range(recurrent.shape[0]):
                if before[j] != 0:
                    for k in range(n):
                        membrane[k] += before[j] * recurrent[j, k]
            used[b, t] = settle(
                membrane,
                trace[b, t],
                spikes[b, t],
                np.float32(low),
                np.float32(high),
                arriving[b, t],
                arrived[b, t],
                weight,
            )
