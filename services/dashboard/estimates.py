"""Estimates of a running session, from its worker's flight recorder: nothing is asked of the worker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.wire import Flag
from services.dashboard.activity import SHOWN_S
from services.worker.flight.reader import FlightReader
from services.worker.flight_summary import stage_figures

POINTS_PER_S = 75
"""More points in a second are not shown."""

_EDGES_US = np.geomspace(50.0, 100_000.0, 67)


class EstimateFeed:
    """Reads new estimates, thinned to what a screen can show.

    Parameters
    ----------
    path : Path
        The flight recorder of a session; it need not exist yet.
    bin_s : float
    """

    def __init__(self, path: Path, bin_s: float) -> None:
        self._path, self._bin_s = path, bin_s
        self.stride = max(1, int(np.ceil(1 / bin_s / POINTS_PER_S)))
        self._reader: FlightReader | None = None
        self._next = 0

    def follow(self, pid: int | None) -> bool:
        """Read of the worker with this process id; True if it is another one than before."""
        if self._reader is not None and self._reader.pid == pid:
            return False
        self.close()
        if pid is None:
            return False
        reader = FlightReader.opened(self._path)
        if reader is None:
            return False
        if reader.pid != pid:
            reader.close()
            return False
        # A page shows seconds, not the minute that is there.
        _, following = reader.records_since(sys.maxsize)
        self._reader, self._next = reader, max(0, following - round(SHOWN_S / self._bin_s))
        return True

    def new(self) -> npt.NDArray[np.void] | None:
        """Records since the last call, thinned; None if there is no worker."""
        if self._reader is None:
            return None
        records, self._next = self._reader.records_since(self._next)
        return self.thinned(records)

    def history(self, seconds: float) -> npt.NDArray[np.void] | None:
        """The newest seconds up to what `new` has given last, thinned; None if there is no worker."""
        if self._reader is None:
            return None
        records, following = self._reader.records_since(0)
        records = records[: max(0, len(records) - (following - self._next))]
        if len(records):
            records = records[records["t_source"] > records["t_source"][-1] - seconds]
        return self.thinned(records)

    def minute(self) -> npt.NDArray[np.void] | None:
        """All records of the last minute; None if there is none."""
        records = None if self._reader is None else self._reader.records()
        return records if records is not None and len(records) else None

    def close(self) -> None:
        """Let go of the flight recorder."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def thinned(self, records: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """No more than can be shown."""
        return records if self.stride == 1 else records[records["sequence"] % self.stride == 0]


def latency_figures(records: npt.NDArray[np.void]) -> dict[str, Any] | None:
    """Latency of the last minute: histogram, percentiles, stages; None without a bin that was decoded from data."""
    real = records[(records["flags"] & int(Flag.HELD | Flag.ZEROED)) == 0]
    if not len(real):
        return None
    latency = np.clip((real["t_publish"] - real["t_source"]) * 1e6, _EDGES_US[0], _EDGES_US[-1])
    return {
        "edges_us": _EDGES_US.round(1).tolist(),
        "counts": np.histogram(latency, _EDGES_US)[0].tolist(),
        **stage_figures(real),
        "bins": len(real),
        "filled": len(records) - len(real),
        "seconds": float(records["t_publish"][-1] - records["t_publish"][0]),
    }
