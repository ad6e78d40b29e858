"""MATLAB v5 files in the layout of the Stevenson et al. macaque M1 session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.mat5 import Mat5File, Mat5Variable
from bmi_decoder.formats.opening import file_head
from bmi_decoder.formats.segments import segments_of_times
from bmi_decoder.recording import Output, Recording

KEYS = ("spikes", "handVel", "time", "timeBase")


def read_stevenson(path: Path | str) -> Recording:
    """Read a binned session: spike counts and hand velocity.

    Parameters
    ----------
    path : Path or str
        MATLAB v5 file with `spikes` (C, T) counts, `handVel` (2 or 3, T) in m/s, `time` (T values) in s and
        `timeBase`, the bin width in s.

    Returns
    -------
    Recording
        Outputs `x_velocity` and `y_velocity` in m/s. A third axis is left out where it is constant, because
        it carries nothing, and is `z_velocity` otherwise. `time` is the start of a bin; a jump of `time`
        beyond half a bin begins a new segment.

    Raises
    ------
    InputError
        If a variable is missing or has another shape or class, or the file is damaged or MATLAB v7.3.

    Notes
    -----
    Stevenson et al. 2011, J. Physiol., as shared for the CoSMo 2017 course.
    """
    path = Path(path)
    head = file_head(path)
    if head.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n\x1a\n" in head:
        raise InputError(
            f"{path}: MATLAB v7.3 (HDF5); this layout is read from v5, in MATLAB save(..., '-v7') writes it"
        )
    file = Mat5File(path)
    _check_shapes(file.variables, path)
    values = {key: file.read(key) for key in KEYS}
    try:
        return _recording(values, path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_shapes(shapes: Mapping[str, Mat5Variable], path: Path) -> None:
    """Refuse what is not the layout before any of it is decompressed."""
    missing = [key for key in KEYS if key not in shapes]
    if missing:
        raise InputError(
            f"{path}: variable {missing[0]!r} is missing; this layout needs {', '.join(KEYS)}, "
            f"the file has {', '.join(sorted(shapes)) or 'none'}"
        )
    spikes, velocity, time, base = (shapes[key].shape for key in KEYS)
    if len(spikes) != 2 or 0 in spikes:
        raise InputError(f"{path}: spikes must be (channels, bins), neither of them 0, got shape {spikes}")
    n_bins = spikes[1]
    if velocity not in ((2, n_bins), (3, n_bins)):
        raise InputError(
            f"{path}: handVel must be (2 or 3, {n_bins}), one column per bin of spikes, got shape {velocity}"
        )
    if time not in ((1, n_bins), (n_bins, 1)):
        raise InputError(f"{path}: time must hold one value per bin, {n_bins}, got shape {time}")
    if base != (1, 1):
        raise InputError(f"{path}: timeBase must be one number, got shape {base}")


def _recording(values: Mapping[str, npt.NDArray[Any]], path: Path) -> Recording:
    bin_s = float(values["timeBase"][0, 0])
    if not (np.isfinite(bin_s) and bin_s > 0):
        raise InputError(f"timeBase must be a positive number of seconds, got {bin_s}")
    time = np.asarray(values["time"], dtype=np.float64).ravel()
    velocity: npt.NDArray[np.float64] = np.asarray(values["handVel"], dtype=np.float64).T
    if velocity.shape[1] == 3 and (velocity[:, 2] == velocity[0, 2]).all():
        velocity = velocity[:, :2]
    outputs = tuple(Output(f"{axis}_velocity", "m/s") for axis in "xyz"[: velocity.shape[1]])
    return Recording(
        np.ascontiguousarray(values["spikes"].T),
        np.ascontiguousarray(velocity),
        outputs,
        bin_s,
        t0=float(time[0]),
        segments=segments_of_times(time, bin_s, "time"),
        source=f"{path.name} (Stevenson M1 layout)",
    )
