"""From the time of every bin to contiguous segments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError


def checked_times(times: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Give the times as float64, or raise InputError at the first that is not finite or does not increase."""
    clock = np.asarray(times, dtype=np.float64)
    wrong = ~np.isfinite(clock)
    wrong[1:] |= ~(np.diff(clock) > 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        before = f" after {clock[row - 1]}" if row else ""
        raise InputError(f"{name}: time must be finite and increase, got {clock[row]}{before} at bin {row}")
    return clock


def usual_step(times: npt.NDArray[np.float64]) -> float:
    """Bin width in seconds that most steps of increasing times agree on, gaps and rounding taken out.

    Examples
    --------
    >>> usual_step(np.array([0.0, 0.1, 0.2, 5.0, 5.1]))
    0.1
    """
    steps = np.diff(times)
    usual = float(np.median(steps))
    near = steps[np.abs(steps - usual) < usual / 2]
    # The mean takes out the rounding of single timestamps, and `round` that of the sum.
    return (round(float(near.mean()), 9) if near.size else 0.0) or usual


def segments_of_times(times: npt.ArrayLike, bin_s: float, name: str) -> tuple[tuple[int, int], ...]:
    """Cut a recording where its clock jumps.

    Parameters
    ----------
    times : array (T,)
        Time of each bin in seconds.
    bin_s : float
        Bin width in seconds.
    name : str
        What an error message calls the recording.

    Returns
    -------
    tuple of (start, stop)
        A new segment begins where a step differs from `bin_s` by more than half a bin.

    Raises
    ------
    InputError
        If times are not finite or do not increase, or if most steps are not the bin width.

    Examples
    --------
    >>> segments_of_times([0.0, 0.1, 0.2, 1.0, 1.1], 0.1, "example")
    ((0, 3), (3, 5))
    """
    clock = checked_times(times, name)
    steps = np.diff(clock)
    jump = np.abs(steps - bin_s) > bin_s / 2
    if np.count_nonzero(jump) * 2 > len(steps):
        raise InputError(
            f"{name}: the bin width is {bin_s} s, but time advances by {np.median(steps):.6g} s per bin; "
            "correct one of them in the file"
        )
    edges = [0, *(int(i) + 1 for i in np.flatnonzero(jump)), len(clock)]
    return tuple(pairwise(edges))


def stretches(
    valid: npt.NDArray[np.bool_], spans: Sequence[tuple[int, int]], shortest: int = 1
) -> tuple[tuple[int, int], ...]:
    """Runs of valid samples that lie within one span and are long enough.

    Parameters
    ----------
    valid : array (T,)
        Whether a sample can be used.
    spans : sequence of (start, stop)
        Contiguous stretches of time, in order.
    shortest : int
        Runs of fewer samples are left out.

    Examples
    --------
    >>> stretches(np.array([1, 1, 0, 1, 1, 1], bool), [(0, 4), (4, 6)])
    ((0, 2), (3, 4), (4, 6))
    """
    runs = []
    for start, stop in spans:
        padded = np.concatenate([[False], valid[start:stop], [False]])
        edges = start + np.flatnonzero(np.diff(padded))
        runs += [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= shortest]
    return tuple(runs)
