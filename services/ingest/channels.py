"""Watches the channels of a stream: silent, stuck, or not as active as in training."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.live.fields import LiveFields

WINDOW_S = 10.0
LEAST_BINS = 100
"""Of a window, where bins are long."""

SILENT_COUNTS = 20
"""Counts to be expected in a window from which a channel without any is silent: by chance once in 5e8 windows."""

DRIFT_WINDOWS = 3
DRIFT_RATIO = 2.0
DRIFT_SIGMAS = 6.0
"""Beyond the ratio a channel drifts only if its counts are so far from those expected, in their Poisson deviation.

On a real recording (196 units of macaque M1, 50 ms bins) that is 0.04 % of the half minutes of the training part, and
1.4 % of those behind it, in which 5 units drift.
"""

SILENT, STUCK, DRIFTING, MASKED = 1, 2, 4, 8
"""Bits of a channel's state; a masked channel keeps its others."""


class ChannelMonitor:
    """Judges every 10 s what has come since.

    Parameters
    ----------
    row : array (C,) of float32
        Where each bin stands when it is added.
    bin_s : float
        On the stream's clock.
    expected : callable
        Mean counts per bin (C,) in the training data of the decoder in use, or None. Without them a channel is held
        against its own first window, and none drifts.
    masked : callable
        Which channels (C,) are masked in the decoder in use, bool.
    say : callable
        ``say(event, **details)`` publishes a health event.
    show : callable
        Gets the states (C,) uint8 whenever they have changed.
    """

    def __init__(
        self,
        row: npt.NDArray[np.float32],
        bin_s: float,
        expected: Callable[[], npt.NDArray[np.float64] | None],
        masked: Callable[[], npt.NDArray[np.bool_]],
        say: Callable[..., None],
        show: Callable[[npt.NDArray[np.uint8]], None],
    ) -> None:
        self._row, self._expected, self._masked, self._say, self._show = row, expected, masked, say, show
        self._window = max(LEAST_BINS, math.ceil(WINDOW_S / bin_s))
        self._sum, self._least, self._most = np.zeros_like(row), np.empty_like(row), np.empty_like(row)
        self._places = tuple(vector.ctypes.data for vector in (self._sum, self._least, self._most))
        self._sums: deque[npt.NDArray[np.float64]] = deque(maxlen=DRIFT_WINDOWS)
        self._first: npt.NDArray[np.float64] | None = None
        self._states = np.zeros(row.shape, np.uint8)
        self._begin()
        self.look_at_mask()

    def add(self) -> None:
        """Take in the bin in the row, which came whole."""
        row = self._row
        np.add(self._sum, row, out=self._sum)
        np.minimum(self._least, row, out=self._least)
        np.maximum(self._most, row, out=self._most)
        self._bins += 1
        if self._bins == self._window:
            self.end_window()

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop add bins; it stops at the end of a window."""
        fields.sums, fields.least, fields.most = self._places
        fields.window_bins, fields.window = self._bins, self._window

    def take_back(self, fields: LiveFields) -> None:
        """Go on where the live loop is."""
        self._bins = fields.window_bins

    def end_window(self) -> None:
        """Judge what has come, and begin the next window."""
        self._judge()
        self._begin()

    def look_at_mask(self) -> None:
        """Tell what is masked, if that has changed with the decoder in use."""
        self._tell(self._states & ~np.uint8(MASKED))

    def _begin(self) -> None:
        self._bins = 0
        self._sum[:], self._least[:], self._most[:] = 0, np.inf, -np.inf

    def _judge(self) -> None:
        counts = self._sum.astype(np.float64)
        self._sums.append(counts)
        expected = self._expected()
        if expected is None:
            self._first = counts / self._bins if self._first is None else self._first
        means = self._first if expected is None else expected
        assert means is not None
        even = self._least == self._most
        states = np.where(even & (self._most == 0) & (means * self._bins >= SILENT_COUNTS), SILENT, 0)
        states |= np.where(even & (self._most != 0), STUCK, 0)
        if expected is not None and len(self._sums) == DRIFT_WINDOWS:
            states |= np.where(self._drifting(expected) & (states == 0) & (self._least >= 0), DRIFTING, 0)
        self._tell(states.astype(np.uint8))

    def _tell(self, health: npt.NDArray[np.uint8]) -> None:
        states = health | np.where(self._masked(), np.uint8(MASKED), np.uint8(0))
        if not np.array_equal(states, self._states):
            self._states = states
            self._show(self._states)
            self._say("channels", **channels(self._states))

    def _drifting(self, means: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        counts, expected = sum(self._sums), means * self._window * DRIFT_WINDOWS
        far = np.abs(counts - expected) > DRIFT_SIGMAS * np.sqrt(np.maximum(expected, 1))
        drifting: npt.NDArray[np.bool_] = far & ((counts > DRIFT_RATIO * expected) | (counts < expected / DRIFT_RATIO))
        return drifting


def channels(states: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Indices of the channels in each state, as in `ChannelHealth`."""
    names = {"silent": SILENT, "stuck": STUCK, "drifting": DRIFTING, "masked": MASKED}
    return {name: np.flatnonzero(states & bit).tolist() for name, bit in names.items()}
