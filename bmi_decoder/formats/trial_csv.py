"""Trials exported as CSV, one row per millisecond (the mc_maze export)."""

from __future__ import annotations

import csv
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.opening import file_head
from bmi_decoder.formats.segments import checked_times, segments_of_times, usual_step
from bmi_decoder.recording import Output, Recording

TIME = "timestamp"
UNIT_PREFIX = "unit_"
VELOCITY = {"hand_vel_x": "x_velocity", "hand_vel_y": "y_velocity"}


def read_trial_csv(path: Path | str) -> Recording:
    """Read one trial: spikes of sorted units and hand velocity.

    Parameters
    ----------
    path : Path or str
        CSV with a header line; columns `timestamp` in s, `hand_vel_x` and `hand_vel_y` in mm/s, and one
        `unit_*` column of counts per unit. Other columns are not read.

    Returns
    -------
    Recording
        Outputs `x_velocity` and `y_velocity` in mm/s, the unit columns as channels under their own names.
        The bin width is the usual step of `timestamp`; a step that is off by more than half a bin begins a
        new segment.

    Raises
    ------
    InputError
        If a column is missing or double, or a value is not a number, not finite or not a count.

    Notes
    -----
    Churchland & Kaufman, DANDI 000128, in the trial export of MaryamOstadsharif/HiSDE.
    """
    path = Path(path)
    file_head(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader([file.readline()]), [])]
            units = _checked_units(header, path)
            columns = [header.index(name) for name in (TIME, *VELOCITY, *units)]
            first = file.readline()
            if not first.strip():
                raise InputError(f"{path}: there are no rows below the header; export the trial again")
            table: npt.NDArray[Any] = np.loadtxt(
                chain([first], file), delimiter=",", usecols=columns, ndmin=2, comments=None, quotechar='"'
            )
    except InputError:
        raise
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table of numbers ({error}; rows count from below the header)") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(table) < 2:
        raise InputError(f"{path}: a trial needs at least two rows to tell its bin width, got {len(table)}")
    time, velocity, counts = table[:, 0], table[:, 1:3], table[:, 3:]
    try:
        bin_s = usual_step(checked_times(time, TIME))
        return Recording(
            counts,
            np.ascontiguousarray(velocity),
            tuple(Output(name, "mm/s") for name in VELOCITY.values()),
            bin_s,
            t0=float(time[0]),
            segments=segments_of_times(time, bin_s, TIME),
            channels=tuple(units),
            source=f"{path.name} (mc_maze trial)",
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _checked_units(header: list[str], path: Path) -> list[str]:
    missing = [name for name in (TIME, *VELOCITY) if name not in header]
    if missing:
        raise InputError(
            f"{path}: column {missing[0]!r} is missing; a trial needs {TIME}, {', '.join(VELOCITY)} and "
            f"{UNIT_PREFIX}* columns, the first columns are {', '.join(header[:6]) or 'none'}"
        )
    units = [name for name in header if name.startswith(UNIT_PREFIX)]
    if not units:
        raise InputError(f"{path}: there is no {UNIT_PREFIX}* column; one is needed per channel")
    names = [TIME, *VELOCITY, *units]
    double = next((name for name in names if header.count(name) > 1), None)
    if double:
        raise InputError(f"{path}: column {double!r} appears {header.count(double)} times; names must differ")
    return units
