"""NWB files: spike times of sorted units, and one behavioural series."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.extra import require_formats_extra
from bmi_decoder.formats.hdf5 import damaged, open_hdf5, read_numbers
from bmi_decoder.formats.nwb_counts import binned_counts, recording_of_counts
from bmi_decoder.formats.nwb_series import BehaviourSeries, behaviour_series, choose_series
from bmi_decoder.formats.reader_process import in_reader_process
from bmi_decoder.formats.rebin import join_factor, rebin
from bmi_decoder.formats.segments import checked_times, segments_of_times, stretches, usual_step
from bmi_decoder.recording import Recording

if TYPE_CHECKING:
    import h5py

FloatArray = npt.NDArray[np.float64]
_MAX_COUNTS = 4 * 2**30


@in_reader_process
def read_nwb(path: Path | str, bin_s: float | None = None, series: str | None = None) -> Recording:
    """Read a session: spikes of the `units` table in bins, and a series of the behaviour module.

    A file without units may have counts instead, as ``bmi-decoder export`` writes them.

    Parameters
    ----------
    path : Path or str
        NWB file, for example one of the Neural Latents Benchmark.
    bin_s : float, optional
        Bin width in s, a whole multiple of the interval of the series. None takes that interval.
    series : str, optional
        Name of the series to decode, such as ``hand_vel``. None takes the velocity, if there is exactly one.

    Returns
    -------
    Recording
        Bins that start at samples of the series, on the clock of the file; the kinematics of a bin are the mean
        of its samples. One channel per unit, named after its id. A stretch without behaviour (NaN, or a gap in
        the timestamps) or outside the `obs_intervals` of any unit is missing: it ends a segment, and is never
        filled. What is left at the end of a stretch and does not fill a bin is dropped.

    Raises
    ------
    InputError
        If there are no units, the series is missing or not unique, or the file is damaged.
    BmiError
        If h5py or pynwb is not installed.

    Notes
    -----
    Rübel et al. 2022, eLife 11 e78362 (NWB). Pei, Ye et al. 2021 (Neural Latents Benchmark).
    """
    path = Path(path)
    with open_nwb(path) as content:
        behaviour = choose_series(behaviour_series(content), series, path)
        time, kinematics = behaviour.read(path)
        counts = None if content.units is not None else binned_counts(content, path)
        if counts is None:
            spikes, observed, names = _units(content.units, path)
    try:
        if counts is not None:
            recording = recording_of_counts(counts, behaviour, time, kinematics, path)
            return recording if bin_s is None else rebin(recording, bin_s)
        step_s = behaviour.step_s or usual_step(checked_times(time[np.isfinite(time)], behaviour.name))
        return _recording(behaviour, time, kinematics, spikes, observed, names, step_s, bin_s, path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


@contextmanager
def open_nwb(path: Path) -> Iterator[Any]:
    """The content of an NWB file, as pynwb gives it; every error until it is closed is an `InputError`."""
    require_formats_extra("pynwb", path)
    with open_hdf5(path) as file:
        if "nwb_version" not in file.attrs:
            raise InputError(f"{path}: this HDF5 file is not NWB (it has no nwb_version); check how it was exported")
        with warnings.catch_warnings():
            # pynwb remarks on other versions of the format, which it reads all the same.
            warnings.simplefilter("ignore")
            try:
                yield _content(file)
            except (InputError, MemoryError):
                raise
            except Exception as error:
                # pynwb and hdmf raise whatever a damaged file makes them stumble over, with no class of their own.
                raise damaged(path, "a valid NWB file", error) from error


def _content(file: h5py.File) -> Any:
    from pynwb import NWBHDF5IO

    return NWBHDF5IO(file=file, mode="r", load_namespaces=True).read()


def _units(units: Any, path: Path) -> tuple[list[FloatArray], list[FloatArray], tuple[str, ...]]:
    """Spike times and observed intervals per unit, and the names."""
    if units is None or "spike_times" not in units.colnames or not len(units.id):
        raise InputError(f"{path}: there is no units table with spike_times; only spike-sorted files can be read")
    spikes = [np.sort(times) for times in _ragged(units["spike_times"], "spike_times", path)]
    if len(spikes) != len(units.id):
        raise InputError(f"{path}: {len(units.id)} units but spike times of {len(spikes)}")
    observed: list[FloatArray] = []
    if "obs_intervals" in units.colnames:
        observed = _ragged(units["obs_intervals"], "obs_intervals", path)
        if any(intervals.ndim != 2 or intervals.shape[1] != 2 for intervals in observed):
            raise InputError(f"{path}: obs_intervals must be (intervals, 2), starts and stops in s")
    ids = [f"unit_{value}" for value in units.id[:]]
    return spikes, observed, tuple(ids if len(set(ids)) == len(ids) else (f"unit{i}" for i in range(len(ids))))


def _ragged(column: Any, name: str, path: Path) -> list[FloatArray]:
    """A column with several values per row, as one array per row."""
    values = read_numbers(column.target.data, name, path)
    stops = read_numbers(column.data, f"{name}_index", path).astype(np.int64).ravel()
    if len(stops) and (stops[0] < 0 or stops[-1] > len(values) or np.any(np.diff(stops) < 0)):
        raise InputError(f"{path}: {name}_index must increase and end at {len(values)}; the file is damaged")
    return [values[start:stop] for start, stop in pairwise([0, *stops.tolist()])]


def _recording(
    behaviour: BehaviourSeries,
    time: FloatArray,
    kinematics: FloatArray,
    spikes: list[FloatArray],
    observed: list[FloatArray],
    names: tuple[str, ...],
    step_s: float,
    bin_s: float | None,
    path: Path,
) -> Recording:
    factor = 1 if bin_s is None else join_factor(step_s, bin_s, behaviour.name)
    kept = np.flatnonzero(np.isfinite(time))
    time, kinematics = time[kept], kinematics[kept]
    valid = np.isfinite(kinematics).all(axis=1) & _observed(time, step_s, observed)
    runs = stretches(valid, segments_of_times(time, step_s, behaviour.name), factor)
    if not runs:
        raise InputError(f"{behaviour.name}: no stretch with behaviour and spikes is as long as one bin")
    lengths = [(stop - start) // factor for start, stop in runs]
    n_bins = sum(lengths)
    if n_bins * len(spikes) > _MAX_COUNTS:
        raise InputError(f"{n_bins} bins of {len(spikes)} units are more than {_MAX_COUNTS} counts; give wider bins")
    rows = np.concatenate([np.arange(start, start + n * factor) for (start, _), n in zip(runs, lengths, strict=True)])
    segments = tuple(pairwise(np.cumsum([0, *lengths]).tolist()))
    # Every bin begins at a sample; the last of a stretch ends one interval after its last sample.
    begins, ends = time[rows[::factor]], time[rows[factor - 1 :: factor]] + step_s
    for start, stop in segments:
        ends[start : stop - 1] = begins[start + 1 : stop]
    counts = np.empty((n_bins, len(spikes)), np.uint16)
    for unit, fired in enumerate(spikes):
        in_bin = np.searchsorted(fired, ends) - np.searchsorted(fired, begins)
        counts[:, unit] = np.minimum(in_bin, 0xFFFF)
    return Recording(
        counts,
        kinematics[rows].reshape(n_bins, factor, -1).mean(axis=1),
        behaviour.outputs(kinematics.shape[1]),
        step_s * factor,
        t0=float(begins[0]),
        segments=segments,
        channels=names,
        source=f"{path.name} (NWB, {behaviour.name})",
    )


def _observed(time: FloatArray, step_s: float, observed: list[FloatArray]) -> npt.NDArray[np.bool_]:
    """Whether the sample that begins at each time is observed for every unit that says when it was."""
    covered = np.ones(len(time), bool)
    rounding = step_s / 100
    for intervals in {intervals.tobytes(): intervals for intervals in observed if len(intervals)}.values():
        ordered = intervals[np.argsort(intervals[:, 0])]
        # Intervals that touch are one: a sample may begin in one trial and end in the next.
        latest = np.maximum.accumulate(ordered[:, 1])
        apart = np.flatnonzero(~(ordered[1:, 0] - latest[:-1] <= rounding)) + 1
        starts, stops = ordered[np.r_[0, apart], 0], latest[np.r_[apart - 1, len(ordered) - 1]]
        within = np.searchsorted(starts, time + rounding, side="right") - 1
        covered &= (within >= 0) & (time + step_s <= stops[within] + rounding)
    return covered
