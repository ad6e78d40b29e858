"""From the time of every bin to contiguous segments."""

from __future__ import annotations

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
