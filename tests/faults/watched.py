"""A session under a fault: its estimates, each held against the sample that its stamp names."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bmi_decoder.client import ALL_TOPICS, Subscriber
from bmi_decoder.wire import Estimate, Flag, Health, Heartbeat
from services.processes import Child
from services.rowlog import RowLogReader
from tests.control.support import N_CHANNELS
from tests.faults.puppet import RATE_HZ, VALUES
from tests.waiting import eventually

_FLAGGED = Flag.HELD | Flag.ZEROED | Flag.INVALID


class PuppetRig:
    """A rig process, and what it has pushed."""

    def __init__(self, child: Child, log: Path) -> None:
        self.child = child
        child.next_line()
        self._log = RowLogReader(log)
        self._pushed: list[np.ndarray] = []

    def tell(self, command: str) -> float:
        """Let it do something; returns when it was done, LSL clock."""
        self.child.tell(command)
        return float(self.child.next_line())

    @property
    def pushed(self) -> np.ndarray:
        """Stamp and moment of each push so far, (n, 2)."""
        self._pushed.append(self._log.new_rows())
        self._pushed = [np.concatenate(self._pushed)]
        return self._pushed[0]

    @property
    def first_push(self) -> float:
        """When it began."""
        eventually(lambda: len(self.pushed), bool)
        return float(self.pushed[0, 1])


class Watched(threading.Thread):
    """Receives a session's estimates and events in a thread, also those of the next worker at the same place.

    Parameters
    ----------
    endpoint : str
    epoch : float
        Where the rigs' grid begins, LSL clock.
    """

    def __init__(self, endpoint: str, epoch: float) -> None:
        super().__init__(daemon=True)
        self._endpoint, self.epoch = endpoint, epoch
        self._ended = threading.Event()
        self.estimates: list[Estimate] = []
        self.events: list[dict[str, Any]] = []
        self.heartbeats = 0
        self.connected = threading.Event()
        self.start()

    def run(self) -> None:
        """Receive until ended."""
        with Subscriber(self._endpoint, ALL_TOPICS) as subscriber:
            while not self._ended.is_set():
                match subscriber.receive(0.1):
                    case Estimate() as estimate:
                        self.estimates.append(estimate)
                    case Health() as health:
                        self.events.append(health.event)
                    case Heartbeat():
                        self.heartbeats += 1
                    case None:
                        continue
                self.connected.set()

    def end(self) -> None:
        """Receive no more."""
        self._ended.set()
        self.join()

    def wait_good(self, n: int) -> None:
        """Wait for so many more estimates that are whole."""
        before = len(self.estimates)
        eventually(lambda: sum(map(is_good, self.estimates[before:])), lambda good: good >= n)

    def wait_event(self, *names: str, since: float) -> float:
        """Wait for an event; returns how long after `since` it happened."""
        found = eventually(
            lambda: [one["at"] for one in list(self.events) if one["event"] in names and one["at"] >= since], bool
        )
        return float(found[0] - since)

    def good_after(self, moment: float) -> float:
        """Wait for the first whole estimate of a bin that ended behind a moment; returns how long behind it came."""
        found = eventually(
            lambda: [one.t_publish for one in list(self.estimates) if is_good(one) and one.t_publish > moment], bool
        )
        return float(found[0] - moment)

    def lost(self, *rigs: PuppetRig) -> int:
        """How many samples were pushed, between the first estimate and the last, and have none of their own."""
        good = [self._number(one.t_source) for one in self.estimates if is_good(one)]
        pushed = [self._number(stamp) for stamp in np.concatenate([rig.pushed[:, 0] for rig in rigs])]
        first, last = pushed.index(good[0]), len(pushed) - pushed[::-1].index(good[-1])
        # What is pushed twice in a row is one sample.
        single = [number for number, _ in itertools.groupby(pushed[first:last])]
        return sum((Counter(single) - Counter(good)).values())

    def check(self) -> None:
        """Every estimate without a flag is of the sample that its stamp names, and no number is left out."""
        for one in self.estimates:
            if not one.flags & _FLAGGED:
                value = self._number(one.t_source) % VALUES + 1
                assert one.variant("raw")[0] == N_CHANNELS * value, (one.sequence, one.flags)
            assert one.flags & Flag.INVALID or np.isfinite(one.outputs).all(), one.sequence
        steps = np.diff([one.sequence for one in self.estimates])
        new_workers = [one.sequence == 0 for one in self.estimates[1:]]
        assert np.all((steps == 1) | new_workers), steps[steps != 1]

    def _number(self, stamp: float) -> int:
        return round((stamp - self.epoch) * RATE_HZ)


def is_good(estimate: Estimate) -> bool:
    """Whether nothing of it was made up."""
    return not estimate.flags & _FLAGGED
