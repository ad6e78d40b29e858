"""Pushes bins at the times at which a rig would."""

from __future__ import annotations

import ctypes
import sys
import time

import pylsl

from services.rig.source import Source
from services.rowlog import RowLogWriter

LINGER_S = 2.0
"""How long the outlets stay open behind the last sample: liblsl drops what a destroyed outlet has not sent."""

_POLL_S = 0.2
_PR_SET_TIMERSLACK = 29


class Player:
    """Plays a source into outlets, in real time or faster.

    Each sample is stamped with the end of its bin on a regular grid, as by a rig with a sample clock of its
    own, and pushed at that moment.

    Parameters
    ----------
    source : Source
    outlets : tuple of StreamOutlet
        Neural and kinematics.
    speed : float
        Times real time.
    push_log : RowLogWriter, optional
        Gets the stamp and the actual moment of each push, for latency measurements.

    Attributes
    ----------
    pushed : int
        Bins pushed so far.
    stop : bool
        Set it and `play` returns at the next bin.
    """

    def __init__(
        self,
        source: Source,
        outlets: tuple[pylsl.StreamOutlet, ...],
        speed: float,
        push_log: RowLogWriter | None = None,
    ) -> None:
        self._source, self._speed, self._log = source, speed, push_log
        self._neural, self._kinematics = outlets
        self.pushed = 0
        self.stop = False

    def wait_for_consumer(self) -> bool:
        """Wait until somebody receives the neural stream; False if stopped before."""
        while not self.stop:
            if self._neural.wait_for_consumers(_POLL_S):
                return True
        return False

    def play(self) -> None:
        """Push all bins."""
        sharpen_sleep()
        start = pylsl.local_clock()
        for ends, counts, kinematics in self._source.blocks():
            stamps = (start + ends / self._speed).tolist()
            for i, stamp in enumerate(stamps):
                remaining = stamp - pylsl.local_clock()
                while remaining > _POLL_S and not self.stop:
                    time.sleep(_POLL_S)
                    remaining = stamp - pylsl.local_clock()
                if self.stop:
                    return
                if remaining > 0:
                    time.sleep(remaining)
                now = pylsl.local_clock()
                self._neural.push_chunk(counts[i : i + 1], stamp)
                self._kinematics.push_chunk(kinematics[i : i + 1], stamp)
                self.pushed += 1
                if self._log is not None:
                    self._log.append(stamp, now)

    def linger(self) -> None:
        """Keep the outlets open until what was pushed has been sent."""
        deadline = time.monotonic() + LINGER_S
        while time.monotonic() < deadline and not self.stop:
            time.sleep(0.05)


def sharpen_sleep() -> None:
    """Let sleeps end when they should: Linux may delay a timer by 50 us to save power, and a rig's clock does not."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
