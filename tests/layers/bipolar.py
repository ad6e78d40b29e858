"""The neurons' rules, one neuron and one inner step at a time, in exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

import numpy as np


def fractions(array: np.ndarray) -> list:
    return [Fraction(float(v)) if np.ndim(v) == 0 else fractions(v) for v in array]


def quantised(current: Fraction, low: int, high: int) -> int:
    return max(low, min(high, floor(current + Fraction(1, 2))))


def settle_network(
    injected: Sequence[Sequence[Fraction]],
    weights: Sequence[Sequence[Sequence[Fraction]]],
    limits: Sequence[tuple[int, int]],
) -> tuple[list[list[int]], list[list[list[int]]]]:
    """All stages side by side until no neuron fires.

    `injected` holds a current per stage and neuron, `weights` a matrix (n, n_in) per stage behind the first. Returns
    the traces per stage and the spikes per inner step and stage.
    """
    membranes = [[Fraction(1, 2) + current for current in stage] for stage in injected]
    traces = [[0 for _ in stage] for stage in injected]
    history: list[list[list[int]]] = []
    while True:
        fired: list[list[int]] = []
        for i, (low, high) in enumerate(limits):
            spikes = []
            for k in range(len(membranes[i])):
                if i:
                    membranes[i][k] += sum(w * o for w, o in zip(weights[i - 1][k], fired[-1], strict=True))
                q, a = membranes[i][k], traces[i][k]
                o = 1 if q >= 1 and a < high else -1 if q < 0 and a > low else 0
                traces[i][k] += o
                membranes[i][k] -= o
                spikes.append(o)
            fired.append(spikes)
        if not any(any(spikes) for spikes in fired):
            return traces, history
        history.append(fired)
