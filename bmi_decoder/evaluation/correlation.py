"""Correlation of an estimate with the truth, and how late the estimate is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bmi_decoder.recording import Recording

MAX_LAG_S = 1.0
"""Longest lag that is looked for, in either direction."""

_FEWEST_PAIRS = 16


def correlation_per_output(truth: npt.ArrayLike, estimate: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Pearson correlation of each column of (T, K) arrays; NaN where one of the two does not move.

    Examples
    --------
    >>> correlation_per_output([[0.0], [1.0], [2.0]], [[0.0], [-2.0], [-4.0]])
    array([-1.])
    """
    a, b = np.asarray(truth, np.float64), np.asarray(estimate, np.float64)
    if not len(a):
        return np.full(a.shape[1], np.nan)
    a, b = a - a.mean(0), b - b.mean(0)
    size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.divide((a * b).sum(0), size, out=np.full(size.shape, np.nan), where=size > 0)


def lag_bins(recording: Recording, estimate: npt.ArrayLike, bins: npt.NDArray[np.int64]) -> int | None:
    """Bins by which an estimate trails the movement: the peak of their cross-correlation.

    Parameters
    ----------
    recording : Recording
    estimate : array (T, K)
        At every bin of the recording.
    bins : array of int
        Bins of the estimate that are judged. Each is paired with the truth some bins earlier or later in the
        same segment; one that has no partner is left out at that lag.

    Returns
    -------
    int or None
        Positive where the estimate is late. At most `MAX_LAG_S` either way, and no more than half of the
        stretch. None if nothing moves.

    Notes
    -----
    The correlation is the mean over the outputs that move, so that all outputs have one lag.
    """
    values = np.asarray(estimate, np.float64)
    longest = min(round(MAX_LAG_S / recording.bin_s), len(bins) // 2)
    starts, stops = (np.array(edge) for edge in zip(*recording.spans, strict=True))
    segment = np.searchsorted(stops, bins, side="right")
    first, last = starts[segment], stops[segment]
    best, best_lag = -np.inf, None
    for lag in sorted(range(-longest, longest + 1), key=abs):
        partner = bins - lag
        paired = (partner >= first) & (partner < last)
        if paired.sum() < _FEWEST_PAIRS:
            continue
        score = correlation_per_output(recording.kinematics[partner[paired]], values[bins[paired]])
        score = score[np.isfinite(score)]
        if score.size and score.mean() > best + 1e-12:
            best, best_lag = float(score.mean()), lag
    return best_lag
