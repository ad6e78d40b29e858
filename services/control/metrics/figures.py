"""What the flight recorder of a session's worker adds up to, for metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bmi_decoder.wire import Flag

BUCKETS_S = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05)
"""Upper bounds of the histograms' buckets; above them is one without a bound."""

STAGES = {"receive": ("t_source", "t_pulled"), "decode": ("t_pulled", "t_decoded"), "publish": ("t_decoded", "t_sent")}
"""Stages of a bin, by the moments at their beginning and end: see `services.worker.flight`."""


@dataclass
class Histogram:
    """Durations in seconds, counted by bucket."""

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BUCKETS_S) + 1, np.int64))
    total_s: float = 0.0

    def add(self, durations: npt.NDArray[np.float64]) -> None:
        """Count more durations."""
        bucket = np.searchsorted(BUCKETS_S, durations, side="left")
        self.counts += np.bincount(bucket, minlength=len(self.counts))
        self.total_s += float(durations.sum())

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bounds, and how many durations are not above them."""
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        return list(zip(bounds, np.cumsum(self.counts).astype(float).tolist(), strict=True))


@dataclass
class Figures:
    """One session's bins since the control plane has started; gaps that were filled are left out.

    Attributes
    ----------
    late : int
        Estimates published more than one bin behind the end of their data.
    """

    latency: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=lambda: {stage: Histogram() for stage in STAGES})
    late: int = 0
    _pid: int | None = None
    _next: int = 0

    def add(self, pid: int, records: npt.NDArray[np.void], bin_s: float) -> None:
        """Take in what is new in a flight recorder.

        Parameters
        ----------
        pid : int
            The worker's process; another one counts from 0 again.
        records : array
            From `FlightReader.records`.
        bin_s : float
            Bin width in seconds.
        """
        if pid != self._pid:
            self._pid, self._next = pid, 0
        new = records[records["sequence"] >= self._next]
        if not new.size:
            return
        self._next = int(new["sequence"][-1]) + 1
        real = new[(new["flags"] & int(Flag.HELD | Flag.ZEROED)) == 0]
        latency = real["t_publish"] - real["t_source"]
        self.latency.add(latency)
        self.late += int(np.count_nonzero(latency > bin_s))
        for stage, (begin, end) in STAGES.items():
            self.stages[stage].add(real[end] - real[begin])
