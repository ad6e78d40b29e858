"""What subscribers could know of the samples that a soak misses, and whether the worker counted as many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bmi_decoder.wire import Flag
from services.listener import COLUMNS

_FILLED = int(Flag.HELD | Flag.ZEROED)
MADE_UP = _FILLED | int(Flag.INVALID)


@dataclass(frozen=True)
class WorkerLife:
    """The losses of one worker, as its estimates show them.

    Attributes
    ----------
    missing : int
        Samples without an estimate of their own while it was connected to their stream.
    unseen : int
        Estimates that were not received, by their sequence numbers: each may stand for one of these samples, or for
        another bin that was lost. Those before the first that was received of the first worker do not count.
    """

    missing: int
    unseen: int

    def agrees(self, bins_lost: int) -> bool:
        """Whether what the worker counted is what is missing."""
        return abs(bins_lost - self.missing) <= self.unseen


@dataclass(frozen=True)
class Told:
    """What was said of the missing samples.

    Attributes
    ----------
    untold : int
        Missing samples that nothing tells of: no estimate that is flagged as made up, no step in the bin index, no
        other worker.
    lives : tuple of WorkerLife
        In their order.
    """

    untold: int
    lives: tuple[WorkerLife, ...]


def told(
    missing: npt.NDArray[np.float64], received: npt.NDArray[np.float64], connected: Sequence[float], bin_s: float
) -> Told:
    """Look for each missing sample in what was received.

    Parameters
    ----------
    missing : array (n,)
        Stamps of samples between the first and the last estimate, none of which has an estimate of its own.
    received : array (m, columns)
        Rows of the listener, in the order of reception.
    connected : sequence of float
        When a worker said that it had connected to a stream, LSL clock: what was sent before is no bin that it lost.
    bin_s : float
    """
    t_receive, sequence, index, stamp, flags = (
        received[:, COLUMNS.index(name)] for name in ("t_receive", "sequence", "bin_index", "t_source", "flags")
    )
    # Every worker counts from 0.
    began = np.r_[True, np.diff(sequence) <= 0]
    worker = np.cumsum(began) - 1
    unseen = np.where(began, sequence, np.r_[0, np.diff(sequence) - 1])
    unseen[0] = 0
    stepped = ~began & np.r_[False, np.diff(index) > 1]
    reconnections = np.sort(np.asarray(connected, float))
    before = np.r_[-np.inf, stamp[:-1]]
    reconnected = np.searchsorted(reconnections, t_receive) > np.searchsorted(reconnections, before)
    flags = flags.astype(int)
    # The estimate at its stamp, or the first behind it.
    row = np.searchsorted(stamp, missing - bin_s / 2)
    at = np.abs(stamp[row] - missing) < bin_s / 2
    said = np.where(at, (flags[row] & MADE_UP) != 0, began[row] | stepped[row])
    lost = np.where(at, (flags[row] & _FILLED) != 0, stepped[row] & ~reconnected[row])
    lives = [
        WorkerLife(int(lost[worker[row] == one].sum()), int(unseen[worker == one].sum()))
        for one in range(worker[-1] + 1)
    ]
    return Told(int((~said).sum()), tuple(lives))
