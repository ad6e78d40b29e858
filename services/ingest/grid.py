"""Places samples on a regular time grid by their stamps: finds what is missing, doubled or out of time."""

from __future__ import annotations

import math

from bmi_decoder.machine.live.fields import LiveFields

DROP = -1
"""The sample's slot has been decoded already (it is doubled, late or out of order), or its stamp is no time."""

RESTART = -2
"""The sample does not continue the grid: the clock jumped, or too much is missing. A new grid begins."""

LATE_S = 1.0
"""A stamp that lies further back than this is no late sample: the sender's clock has jumped."""


class SampleGrid:
    """A grid of sample slots that follows the sender's stamps.

    Each accepted sample takes the next slot. A stamp that lies `threshold` slots or more beyond the expected
    time means that samples are missing; one that lies as much before it means that its slot has gone by.
    Smaller deviations are jitter, and the grid follows a hundredth of each, so that a sender whose clock
    drifts by up to 1,000 ppm stays on it.

    Parameters
    ----------
    sample_s : float
        Time between samples in seconds.
    max_gap_s : float
        Longer gaps begin a new grid.
    """

    threshold = 0.75
    _GAIN = 0.01

    def __init__(self, sample_s: float, max_gap_s: float) -> None:
        self._sample_s = sample_s
        self._max_missing, self._max_late = max_gap_s / sample_s, LATE_S / sample_s
        self._expected: float | None = None

    @property
    def expected(self) -> float | None:
        """When the next sample is due; None before the first."""
        return self._expected

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop place samples; it tells those that are in their place, and moves on with them."""
        fields.sample_s, fields.threshold, fields.gain = self._sample_s, self.threshold, self._GAIN
        fields.expected = math.nan if self._expected is None else self._expected

    def take_back(self, fields: LiveFields) -> None:
        """Go on where the live loop is."""
        if fields.taken:
            self._expected = fields.expected

    def restart(self) -> None:
        """Forget the grid: the next sample begins a new one."""
        self._expected = None

    def place(self, stamp: float) -> int:
        """Number of missing slots before this sample, 0 if it is in its place; or `DROP`, or `RESTART`.

        After `RESTART` the sample is the first of the new grid.
        """
        if self._expected is None:
            return self._begin(stamp, 0)
        deviation = (stamp - self._expected) / self._sample_s
        if -self.threshold < deviation < self.threshold:
            self._expected += self._sample_s * (1 + self._GAIN * deviation)
            return 0
        if not math.isfinite(deviation):
            return DROP
        missing = round(deviation)
        if 0 < missing <= self._max_missing:
            self._expected += self._sample_s * (missing + 1)
            return missing
        if 0 < -missing <= self._max_late:
            return DROP
        return self._begin(stamp, RESTART)

    def _begin(self, stamp: float, answer: int) -> int:
        if not math.isfinite(stamp):
            return DROP
        self._expected = stamp + self._sample_s
        return answer
