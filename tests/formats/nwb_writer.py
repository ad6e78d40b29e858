"""Small NWB files, written by pynwb."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import Position, SpatialSeries


def series(name: str, values: Any, times: Any = None, rate: float | None = None, **more: Any) -> TimeSeries:
    time = {"timestamps": np.asarray(times, float)} if rate is None else {"rate": rate, "starting_time": float(times)}
    return TimeSeries(name=name, data=np.asarray(values, float), unit="m/s", **time, **more)


def position(name: str, values: Any, times: Any) -> Position:
    return Position(
        spatial_series=SpatialSeries(
            name=name, data=np.asarray(values, float), timestamps=np.asarray(times, float), reference_frame="screen"
        )
    )


def write_nwb(
    path: Path, spikes: Sequence[Any], behaviour: Sequence[Any], observed: Sequence[Any] | None = None
) -> Path:
    file = NWBFile(
        session_description="a test", identifier="a test", session_start_time=datetime(2020, 1, 1, tzinfo=UTC)
    )
    for unit, times in enumerate(spikes):
        more = {} if observed is None else {"obs_intervals": np.asarray(observed[unit], float)}
        file.add_unit(id=1000 + unit, spike_times=np.asarray(times, float), **more)
    if behaviour:
        module = file.create_processing_module(name="behavior", description="movement")
        for item in behaviour:
            module.add(item)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with NWBHDF5IO(path, "w") as io:
            io.write(file)
    return path
