"""What the demo shows: accuracy against the true movement, latency, and every bin accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.wire import Flag, Variant
from services.listener import COLUMNS

_FILLED = int(Flag.HELD | Flag.ZEROED)


class Scoreboard:
    """Takes in what arrives, and sums it up.

    Parameters
    ----------
    variants : sequence of Variant
    n_outputs : int
    bin_s : float
    """

    def __init__(self, variants: Sequence[Variant], n_outputs: int, bin_s: float) -> None:
        self._variants, self._n_outputs, self._bin_s = tuple(variants), n_outputs, bin_s
        self._estimates: list[npt.NDArray[np.float64]] = []
        self._pushes: list[npt.NDArray[np.float64]] = []
        self._truth: list[npt.NDArray[np.float64]] = []
        self._stamps: list[npt.NDArray[np.float64]] = []

    def add_estimates(self, rows: npt.NDArray[np.float64]) -> None:
        """Rows of the listener's log."""
        if len(rows):
            self._estimates.append(rows)

    def add_pushes(self, rows: npt.NDArray[np.float64]) -> None:
        """Rows of the rig's log: stamp and moment of each push."""
        if len(rows):
            self._pushes.append(rows)

    def add_truth(self, stamps: npt.NDArray[np.float64], kinematics: npt.NDArray[np.float64]) -> None:
        """Samples (n, K) of the kinematics stream and their stamps."""
        if len(stamps):
            self._stamps.append(stamps)
            self._truth.append(kinematics)

    @property
    def bins_decoded(self) -> int:
        """Estimates received."""
        return sum(map(len, self._estimates))

    def summary(self) -> dict[str, Any]:
        """All figures so far; None where there is no data yet.

        Keys
        ----
        bins_in : bins pushed by the rig up to the last estimate received
        bins_decoded : distinct bins among them that were decoded from data and received
        bins_lost : the difference
        bins_duplicated : estimates received for a bin that had one already
        r2 : per variant, each estimate held against the movement at the time that it describes
        latency_us : from the push to the reception
        """
        empty = {
            "bins_in": 0,
            "bins_decoded": 0,
            "bins_lost": 0,
            "bins_duplicated": 0,
            "r2": {variant.name: None for variant in self._variants},
            "latency_us": {"p50": None, "p99": None, "p999": None},
        }
        if not self._estimates or not self._pushes:
            return empty
        estimates, pushes = np.concatenate(self._estimates), np.concatenate(self._pushes)
        column = {name: estimates[:, i] for i, name in enumerate(COLUMNS)}
        pushed = self._bin_of(column["t_source"], pushes[0, 0])
        real = (column["flags"].astype(int) & _FILLED) == 0
        decoded = np.unique(pushed[real])
        n_in = int(pushed.max()) + 1
        known = real & (pushed >= 0) & (pushed < len(pushes))
        latency = (column["t_receive"][known] - pushes[pushed[known], 1]) * 1e6
        percentiles = np.percentile(latency, (50, 99, 99.9)) if latency.size else (None, None, None)
        return {
            "bins_in": n_in,
            "bins_decoded": len(decoded),
            "bins_lost": n_in - len(decoded),
            "bins_duplicated": len(pushed) - len(np.unique(pushed)),
            "r2": self._r2(estimates, column["flags"].astype(int)),
            "latency_us": {
                name: None if value is None else round(float(value), 1)
                for name, value in zip(("p50", "p99", "p999"), percentiles, strict=True)
            },
        }

    def _bin_of(self, stamps: npt.NDArray[np.float64], first: float) -> npt.NDArray[np.int64]:
        """Number of the bin that ended at each stamp, 0 for the first that the rig pushed."""
        return np.rint((stamps - first) / self._bin_s).astype(np.int64)

    def _r2(self, estimates: npt.NDArray[np.float64], flags: npt.NDArray[np.int64]) -> dict[str, float | None]:
        if not self._stamps:
            return {variant.name: None for variant in self._variants}
        truth, stamps = np.concatenate(self._truth), np.concatenate(self._stamps)
        first_valid, n = len(COLUMNS), len(self._variants)
        settled = (flags & int(Flag.WARM_UP)) == 0
        figures: dict[str, float | None] = {}
        for v, variant in enumerate(self._variants):
            at = self._bin_of(estimates[:, first_valid + v], stamps[0])
            usable = settled & (at >= 0) & (at < len(truth))
            outputs = first_valid + n + v * self._n_outputs
            values = estimates[usable, outputs : outputs + self._n_outputs]
            figures[variant.name] = None if len(values) < 2 else round(mean_r2(truth[at[usable]], values), 4)
        return figures
