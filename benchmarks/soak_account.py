"""What a soak has pushed and received: which samples are missing, and whether something explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.soak_told import MADE_UP, Told, told
from services.listener import COLUMNS

_ON_THE_WAY_S = 0.25


@dataclass
class Fault:
    """Something that was done to the system on purpose.

    Attributes
    ----------
    what : str
    began, over : float
        When the cause was there, LSL clock; NaN is until the next push.
    bar_s : float
        Decoding must go on so soon after that.
    recovered_s : float
        How soon it did; NaN until that is known.
    """

    what: str
    began: float
    over: float
    bar_s: float
    recovered_s: float = float("nan")


@dataclass(frozen=True)
class Account:
    """What became of every sample.

    Attributes
    ----------
    pushed : array (n, 2)
        Stamp and moment of each push.
    latency_s : array (n,)
        From the push to the reception of its estimate; NaN where there is none.
    explained : array (n,) of bool
        Whether it was due while a fault was there, or pushed then or while decoding was still coming back.
    doubled : int
        Estimates of samples that had one already.
    told : Told
        What was said of those that are missing.
    """

    pushed: npt.NDArray[np.float64]
    latency_s: npt.NDArray[np.float64]
    explained: npt.NDArray[np.bool_]
    doubled: int
    told: Told

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Samples without an estimate of their own."""
        return np.isnan(self.latency_s)

    @property
    def unexplained(self) -> npt.NDArray[np.bool_]:
        """Those of them that nothing explains."""
        return self.missing & ~self.explained


def account(
    pushed: npt.NDArray[np.float64],
    received: npt.NDArray[np.float64],
    faults: list[Fault],
    connected: Sequence[float],
    bin_s: float,
) -> Account:
    """Hold what was received against what was pushed, and note in each fault how soon decoding went on.

    Parameters
    ----------
    pushed : array (n, 2)
        Stamp and moment of each push, of all rigs one after the other.
    received : array (m, columns)
        Rows of the listener.
    faults : list of Fault
    connected : sequence of float
        When a worker said that it had connected to a stream, LSL clock.
    bin_s : float
    """
    column = {name: received[:, i] for i, name in enumerate(COLUMNS)}
    good = (column["flags"].astype(int) & MADE_UP) == 0
    stamps, arrived = column["t_source"][good], column["t_receive"][good]
    # From the first that was received to the last: before and behind that nobody listened.
    pushed = pushed[np.argsort(pushed[:, 0], kind="stable")]
    pushed = pushed[(pushed[:, 0] > stamps.min() - bin_s / 2) & (pushed[:, 0] < stamps.max() + bin_s / 2)]
    # A stamp arrives corrected for the clock's offset, which on one machine is far smaller than half a bin.
    place = np.clip(np.searchsorted(pushed[:, 0], stamps - bin_s / 2), 0, len(pushed) - 1)
    meant = np.abs(pushed[place, 0] - stamps) < bin_s / 2
    place, arrived = place[meant], arrived[meant]
    unique, first = np.unique(place, return_index=True)
    latency = np.full(len(pushed), np.nan)
    latency[unique] = arrived[first] - pushed[unique, 1]
    explained = np.zeros(len(pushed), bool)
    for fault in faults:
        if np.isnan(fault.over):
            fault.over = float(pushed[pushed[:, 1] > fault.began + _ON_THE_WAY_S, 1].min())
        # Not what was on its way: the first that was pushed afterwards.
        after = arrived[pushed[place, 1] > fault.over]
        fault.recovered_s = float(after.min() - fault.over) if len(after) else float("inf")
        until = fault.over + min(fault.recovered_s, fault.bar_s)
        # What was on its way when the cause came is its victim, too.
        explained |= (pushed[:, 1] >= fault.began - _ON_THE_WAY_S) & (pushed[:, 1] <= until)
        # A rig that was stopped pushes later, and at once, what was due meanwhile: more than an inlet holds.
        explained |= (pushed[:, 0] >= fault.began) & (pushed[:, 0] <= fault.over)
    said = told(pushed[np.isnan(latency), 0], received, connected, bin_s)
    return Account(pushed, latency, explained, len(place) - len(unique), said)
