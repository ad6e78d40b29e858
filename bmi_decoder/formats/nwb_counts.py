"""Spike counts in an NWB file that has no sorted units: where they stand, and a recording of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.nwb_series import BehaviourSeries, noted
from bmi_decoder.formats.segments import checked_times, segments_of_times, stretches, usual_step
from bmi_decoder.recording import Recording

FloatArray = npt.NDArray[np.float64]

MODULE, SERIES = "ecephys", "spike_counts"
"""A series (bins, channels) in this processing module; each timestamp is where a bin begins."""


@dataclass(frozen=True, eq=False)
class BinnedCounts:
    """Spikes per bin and channel.

    Attributes
    ----------
    begins : array (T,)
        Where each bin begins, s.
    values : array (T, C)
        NaN where a bin has no count.
    bin_s : float
    channels : tuple of str or None
    """

    begins: FloatArray
    values: FloatArray
    bin_s: float
    channels: tuple[str, ...] | None


def binned_counts(content: Any, path: Path) -> BinnedCounts | None:
    """The counts of a file that pynwb has read; None if it has none.

    Raises
    ------
    InputError
        If they are no numbers, or their times make no sense.
    """
    module = content.processing.get(MODULE, None)
    node = None if module is None else module.data_interfaces.get(SERIES)
    if node is None:
        return None
    series = BehaviourSeries(SERIES, node)
    begins, values = series.read(path)
    said = noted(node)
    bin_s = said.get("bin_s", series.step_s)
    if not isinstance(bin_s, float) or not bin_s > 0:
        bin_s = usual_step(checked_times(begins, SERIES))
    channels = said.get("channels")
    names = tuple(map(str, channels)) if isinstance(channels, list) else ()
    return BinnedCounts(begins, values, bin_s, names if len(names) == values.shape[1] else None)


def recording_of_counts(
    counts: BinnedCounts, behaviour: BehaviourSeries, time: FloatArray, kinematics: FloatArray, path: Path
) -> Recording:
    """A recording of counts, and a series with one sample per bin.

    Raises
    ------
    InputError
        If the series is on other times than the counts, or they share no bin.
    """
    begins = counts.begins
    if len(time) != len(begins) or not np.allclose(time, begins, rtol=0, atol=counts.bin_s / 100):
        raise InputError(
            f"{behaviour.name} is not on the bins of {SERIES}: choose the series of the true movement with --series"
        )
    valid = np.asarray(np.isfinite(kinematics).all(axis=1) & np.isfinite(counts.values).all(axis=1))
    runs = stretches(valid, segments_of_times(begins, counts.bin_s, SERIES))
    if not runs:
        raise InputError(f"{behaviour.name}: there is no bin with counts and movement")
    rows = np.concatenate([np.arange(start, stop) for start, stop in runs])
    return Recording(
        counts.values[rows],
        kinematics[rows],
        behaviour.outputs(kinematics.shape[1]),
        counts.bin_s,
        t0=float(begins[rows[0]]),
        segments=tuple(pairwise(np.cumsum([0, *(stop - start for start, stop in runs)]).tolist())),
        channels=counts.channels,
        source=f"{path.name} (NWB, {SERIES}, {behaviour.name})",
    )
