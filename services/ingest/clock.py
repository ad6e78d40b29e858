"""How far a sender's clock is ahead of ours, from measurements of which some are bad."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_DRIFT = 5e-5
"""Seconds per second by which clocks of computers part."""

_STEP_S = 0.1
"""A change that is larger by this than a measurement can err is none: a clock has stood still, or has been set."""

_KEPT = 16


class _Measurement(NamedTuple):
    at: float
    offset: float
    round_trip_s: float


class ClockOffset:
    """The measurement that can be trusted most.

    LSL asks a sender for its time and halves the way there and back. On a busy host one of the two may take a
    millisecond longer, and the offset errs by half of that: at most by half of the round trip. A measurement of a quick
    one is worth more, until the clocks have drifted as far (the clock filter of NTP, RFC 5905, section 10).
    """

    def __init__(self) -> None:
        self._measured: deque[_Measurement] = deque(maxlen=_KEPT)

    def take(self, at: float, offset: float, round_trip_s: float) -> float:
        """Seconds to add to a stamp of the sender's, now that this was measured.

        Parameters
        ----------
        at : float
            When, on any clock; the same moment is the same measurement.
        offset : float
            Seconds to add to a stamp of the sender's.
        round_trip_s : float
            How long the question and its answer were on the way.
        """
        measured = self._measured
        if not measured or measured[-1].at != at:
            if measured and abs(offset - self._best(at)) > _STEP_S + round_trip_s / 2:
                measured.clear()
            measured.append(_Measurement(at, offset, round_trip_s))
        return self._best(at)

    def _best(self, now: float) -> float:
        return min(self._measured, key=lambda one: one.round_trip_s / 2 + _DRIFT * (now - one.at)).offset
