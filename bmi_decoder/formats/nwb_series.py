"""The behavioural series of an NWB file, and the choice of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.hdf5 import checked_dataset, read_numbers
from bmi_decoder.recording import Output

FloatArray = npt.NDArray[np.float64]
_MODULES = ("behavior", "behaviour")


@dataclass(frozen=True)
class BehaviourSeries:
    """A series of the behaviour module.

    Attributes
    ----------
    name : str
        Its name, after that of the container it is in, if any: ``hand_vel`` or ``Position/hand``.
    node : pynwb.TimeSeries
        The series, whose numbers are still in the file.
    """

    name: str
    node: Any

    @property
    def is_velocity(self) -> bool:
        """Whether the name says so."""
        name = self.name.casefold()
        return name.endswith("vel") or "velocity" in name

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples, or samples and columns; empty where it is not an array."""
        return tuple(getattr(self.node.data, "shape", ()))

    @property
    def step_s(self) -> float | None:
        """Interval in s where the series declares a rate, or None where each sample has a timestamp."""
        rate = self.node.rate
        return 1.0 / float(rate) if rate and rate > 0 else None

    def describe(self) -> str:
        """The series in a few words, for a list."""
        return f"{self.name} {self.shape} {self.node.unit}"

    def read(self, path: Path) -> tuple[FloatArray, FloatArray]:
        """Times (T,) in s and values (T, K) in the unit of the series.

        Raises
        ------
        InputError
            If the values are no numbers, or there is not one time per sample.
        """
        data = checked_dataset(self.node.data, self.name, path)
        if data.ndim not in (1, 2) or not data.shape[0]:
            raise InputError(f"{path}: {self.name} must be (samples,) or (samples, columns), got shape {data.shape}")
        values = read_numbers(data, self.name, path).reshape(data.shape[0], -1)
        with np.errstate(over="ignore", invalid="ignore"):
            values = values * float(self.node.conversion) + float(self.node.offset)
        step_s = self.step_s
        if step_s is not None:
            time = float(self.node.starting_time or 0.0) + step_s * np.arange(len(values), dtype=np.float64)
            return time, values
        time = read_numbers(self.node.timestamps, f"timestamps of {self.name}", path).ravel()
        if len(time) != len(values):
            raise InputError(f"{path}: {self.name} has {len(values)} samples but {len(time)} timestamps")
        if np.count_nonzero(np.isfinite(time)) < 2:
            raise InputError(f"{path}: {self.name} needs at least two samples with a time")
        return time, values

    def outputs(self, n_columns: int) -> tuple[Output, ...]:
        """Names and units of the columns: ``x_velocity`` and so on where the name says what it is."""
        named = noted(self.node).get("outputs")
        if isinstance(named, list) and len(named) == n_columns:
            return tuple(Output(str(name), str(unit)) for name, unit in named)
        unit = str(self.node.unit) or "unknown"
        name = self.name.rpartition("/")[2]
        quantity = "velocity" if self.is_velocity else "position" if "pos" in self.name.casefold() else None
        if quantity and n_columns <= 3:
            return tuple(Output(f"{axis}_{quantity}", unit) for axis in "xyz"[:n_columns])
        if n_columns == 1:
            return (Output(name, unit),)
        return tuple(Output(f"{name}_{i}", unit) for i in range(n_columns))


def noted(node: Any) -> dict[str, Any]:
    """What ``bmi-decoder export`` has noted in a series' comments, for which NWB has no field; empty without it."""
    try:
        found = json.loads(node.comments or "")
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def behaviour_series(content: Any) -> tuple[BehaviourSeries, ...]:
    """Every series of the behaviour module of a file that pynwb has read, those in containers included."""
    module = next((content.processing[name] for name in _MODULES if name in content.processing), None)
    found = []
    for name, node in ({} if module is None else module.data_interfaces).items():
        inside = getattr(node, "time_series", None) or getattr(node, "spatial_series", None)
        if inside:
            found += [BehaviourSeries(f"{name}/{child}", inside[child]) for child in inside]
        elif hasattr(node, "timestamps"):
            found.append(BehaviourSeries(name, node))
    return tuple(found)


def choose_series(found: tuple[BehaviourSeries, ...], wanted: str | None, path: Path) -> BehaviourSeries:
    """The series that is wanted, or else the only velocity.

    Raises
    ------
    InputError
        If there is no such series, or several; the message lists what is there.
    """
    if not found:
        raise InputError(f"{path}: there is no series in processing['behavior'], so there is no movement to decode")
    listed = ", ".join(series.describe() for series in found)
    if wanted is not None:
        chosen = [series for series in found if wanted in (series.name, series.name.rpartition("/")[2])]
        if len(chosen) != 1:
            problem = "no series" if not chosen else "more than one series"
            raise InputError(f"{path}: there is {problem} {wanted!r}; the file has {listed}")
        return chosen[0]
    chosen = [series for series in found if series.is_velocity]
    if len(chosen) != 1:
        problem = "no velocity" if not chosen else "more than one velocity"
        raise InputError(f"{path}: there is {problem}; choose a series by its name: {listed}")
    return chosen[0]
