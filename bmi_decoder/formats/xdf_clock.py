"""Stamps that jitter: where samples are missing, and when each sample was taken."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

THRESHOLD = 0.75
"""A lasting shift of the stamps by this many samples is a gap or a jump, as in a live session."""

_AROUND = 5
_FAR = 100


def sample_interval(times: FloatArray, rate_hz: float) -> float:
    """Interval between samples in s: the declared one if the stamps agree within 1 %, or else what they say.

    Examples
    --------
    >>> sample_interval(0.01 * np.arange(50), 100.0), round(sample_interval(0.0108 * np.arange(50), 100.0), 6)
    (0.01, 0.0108)
    """
    declared = 1.0 / rate_hz
    # Far apart, so that jitter is small against the distance; the median leaves gaps out.
    apart = max(1, min(_FAR, len(times) // 4))
    if len(times) <= apart:
        return declared
    measured = float(np.median(times[apart:] - times[:-apart])) / apart
    return measured if measured > 0 and abs(measured / declared - 1) > 0.01 else declared


def regular_spans(times: FloatArray, step_s: float, resets: tuple[int, ...] = ()) -> tuple[tuple[int, int], ...]:
    """Stretches of samples without a gap.

    A stamp that is late once is jitter. Samples are missing where a step is off by `THRESHOLD` intervals or more
    and the stamps behind it stay shifted by as much against those before it.

    Parameters
    ----------
    times : array (T,)
        Stamps in s.
    step_s : float
        Interval between samples.
    resets : tuple of int
        Samples at which a stretch begins in any case.

    Examples
    --------
    >>> stamps = 0.01 * np.arange(20)
    >>> stamps[4] += 0.009
    >>> stamps[12:] += 0.01
    >>> regular_spans(stamps, 0.01)
    ((0, 12), (12, 20))
    """
    if not len(times):
        return ()
    steps = np.diff(times)
    shift = times - times[0] - step_s * np.arange(len(times))
    padded = np.pad(shift, _AROUND - 1, mode="edge")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, _AROUND), axis=1)
    # `middle[i]` is of the samples up to i, `middle[i + _AROUND]` of those from i + 1 on.
    lasting = middle[_AROUND:] - middle[:-_AROUND]
    broken = ~(np.abs(steps - step_s) < THRESHOLD * step_s) & ~(np.abs(lasting) < THRESHOLD * step_s)
    edges = sorted({0, *(np.flatnonzero(broken) + 1).tolist(), *resets, len(times)})
    return tuple(pairwise(edges))


def without_jitter(times: FloatArray, spans: tuple[tuple[int, int], ...]) -> FloatArray:
    """Times on a straight line through the stamps of each stretch."""
    straight = np.array(times, dtype=np.float64)
    for start, stop in spans:
        if stop - start > 1:
            index = np.arange(stop - start) - (stop - start - 1) / 2
            stamps = times[start:stop]
            slope = float(index @ (stamps - stamps.mean())) / float(index @ index)
            straight[start:stop] = stamps.mean() + slope * index
    return straight
