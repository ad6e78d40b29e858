"""Pushes bins at the times at which a rig would."""

from __future__ import annotations

import time
from itertools import chain, islice

import pylsl

from services.rig.playing import POLL_S, OutletPlayer
from services.rig.source import Source
from services.rowlog import RowLogWriter
from services.timers import sharpen_timers


class Player(OutletPlayer):
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
    """

    def __init__(
        self,
        source: Source,
        outlets: tuple[pylsl.StreamOutlet, ...],
        speed: float,
        push_log: RowLogWriter | None = None,
    ) -> None:
        self._speed, self._log = speed, push_log
        self._neural, self._kinematics = outlets
        # Now, not when the clock runs: a subject takes a second before its first bin, and would begin that late.
        blocks = source.blocks()
        self._blocks = chain(list(islice(blocks, 1)), blocks)
        super().__init__(self._neural)

    def play(self) -> None:
        """Push all bins, once."""
        sharpen_timers()
        start = pylsl.local_clock()
        for ends, counts, kinematics in self._blocks:
            stamps = (start + ends / self._speed).tolist()
            for i, stamp in enumerate(stamps):
                remaining = stamp - pylsl.local_clock()
                while remaining > POLL_S and not self.stop:
                    time.sleep(POLL_S)
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
