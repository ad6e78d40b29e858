"""From samples to bins: sums samples, applies the gap policy, counts what was wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bmi_decoder.config import GapPolicy
from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.wire import Flag
from services.ingest.expectation import StreamLayout
from services.ingest.grid import DROP, RESTART, SampleGrid

# Plain numbers: arithmetic with an enumeration costs microseconds per bin.
_HELD, _ZEROED, _INVALID = int(Flag.HELD), int(Flag.ZEROED), int(Flag.INVALID)
_FILLED = _HELD | _ZEROED


class BinSink(Protocol):
    """Who receives bins, in the order of time."""

    @property
    def masked(self) -> npt.NDArray[np.bool_]:
        """Channels (C,) of which nothing is decoded."""

    def decode(self, bin_index: int, t_source: float, bin_s: float, flags: int) -> None:
        """The row holds a bin that ended at `t_source`."""

    def came_whole(self) -> None:
        """The bin that was just decoded, and still stands in the row, was received."""

    def reset(self) -> None:
        """Time is missing here: what follows does not continue what was."""


class Binner:
    """Turns a stream of samples into bins on the session's time grid.

    Parameters
    ----------
    row : array (C,) of float32
        Where a complete bin stands while the sink decodes it.
    gap_policy : {"hold", "zero", "reset"}
        What a missing bin becomes: the last bin again, a bin without spikes, or a reset. A bin of which only
        some samples are missing keeps the counts that came, flagged like a filled one.
    max_gap_s : float
        A longer gap is never filled.
    max_age_s : float
        A filled bin that ends further than this behind the last that came whole is flagged invalid.
    sink : BinSink
    say : callable
        ``say(event, **details)``: something is wrong with the sample at hand, and a user must know.

    Attributes
    ----------
    next_bin : int
        Index of the bin that is being collected.
    bins_in, bins_lost, bins_duplicated : int
        Bins received complete; bins with missing samples; samples dropped because their place was taken.
    """

    def __init__(
        self,
        row: npt.NDArray[np.float32],
        gap_policy: GapPolicy,
        max_gap_s: float,
        max_age_s: float,
        sink: BinSink,
        say: Callable[..., None],
    ) -> None:
        self._row, self._policy, self._max_gap_s, self._max_age_s = row, gap_policy, max_gap_s, max_age_s
        self._sink, self._say = sink, say
        self._held = np.zeros_like(row)
        self._fill_flag = _HELD if gap_policy == "hold" else _ZEROED
        self._last_end = self._last_whole = math.nan
        self.next_bin = 0
        self.bins_in = self.bins_lost = self.bins_duplicated = 0

    def connect(self, layout: StreamLayout) -> npt.NDArray[np.float32]:
        """Begin with a stream, the first or a new one; returns the array that its samples are written to."""
        self._layout = layout
        self._bin_s = layout.samples_per_bin * layout.sample_s
        self._grid = SampleGrid(layout.sample_s, self._max_gap_s)
        self._sample = np.zeros_like(self._row)
        self._finite = np.zeros(self._row.shape, bool)
        self._places = tuple(vector.ctypes.data for vector in (self._sample, self._row, self._held))
        self._begin_bin()
        self._reconnected = not math.isnan(self._last_end)
        if self._reconnected:
            self._sink.reset()
        return self._sample

    def add(self, stamp: float) -> None:
        """Take the sample that was just written, stamped with the end of its interval."""
        missing = self._grid.place(stamp)
        if missing or self._reconnected:
            if missing == DROP:
                self._drop(stamp)
                return
            self._discontinuity(stamp, missing)
        sample, row = self._sample, self._row
        if not np.logical_and.reduce(np.isfinite(sample, self._finite)):
            self._replace_broken(stamp)
        if self._layout.samples_per_bin == 1:
            row[:] = sample
        else:
            row += sample
        self._collected += 1
        if self._collected == self._layout.samples_per_bin:
            self._end_bin(stamp)

    @property
    def is_regular(self) -> bool:
        """Whether the bin at hand has come whole so far, and so the live loop can go on with it."""
        return not self._reconnected and not self._flags

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop collect bins."""
        self._grid.lend(fields)
        fields.sample, fields.row, fields.held = self._places
        fields.n_channels, fields.samples_per_bin = self._row.size, self._layout.samples_per_bin
        fields.holds = self._policy == "hold" and self._layout.samples_per_bin > 1
        fields.bin_s = self._bin_s
        fields.collected, fields.next_bin, fields.bins_in = self._collected, self.next_bin, self.bins_in
        fields.last_end, fields.last_whole = self._last_end, self._last_whole

    def take_back(self, fields: LiveFields) -> None:
        """Go on where the live loop is."""
        self._grid.take_back(fields)
        self._collected, self.next_bin, self.bins_in = fields.collected, fields.next_bin, fields.bins_in
        self._last_end, self._last_whole = fields.last_end, fields.last_whole

    def rehearse(self) -> None:
        """Touch what `add` will, and change nothing."""
        sample = self._sample
        np.logical_and.reduce(np.isfinite(sample, self._finite))
        if self._layout.samples_per_bin == 1:
            # Not from the sample: one that was dropped stands there, and the row is what a gap holds.
            self._row[:] = self._row

    def _replace_broken(self, stamp: float) -> None:
        """Put zeros where the sample is not finite, or, if that is in a channel that is decoded, everywhere."""
        broken = ~self._finite
        if (broken & ~self._sink.masked).any():
            broken[:] = True
            self._flags |= _INVALID
            self._say("invalid_input", t_source=stamp, bin=self.next_bin)
        self._sample[broken] = 0

    def _drop(self, stamp: float) -> None:
        if math.isfinite(stamp):
            self.bins_duplicated += 1
            self._say("duplicate", t_source=stamp)
        else:
            # Its slot stays empty, and the next sample finds it missing.
            self._say("invalid_stamp", bin=self.next_bin)

    def _begin_bin(self) -> None:
        self._collected = 0
        self._flags = 0
        if self._layout.samples_per_bin > 1:
            self._row[:] = 0

    def _end_bin(self, t_source: float) -> None:
        filled = self._flags & _FILLED
        if filled:
            self.bins_lost += 1
            if t_source - self._last_whole > self._max_age_s:
                self._flags |= _INVALID
        else:
            self.bins_in += 1
            self._last_whole = t_source
        if self._policy == "hold" and self._layout.samples_per_bin > 1:
            self._held[:] = self._row
        self._sink.decode(self.next_bin, t_source, self._bin_s, self._flags)
        if not filled:
            self._sink.came_whole()
        self._last_end = t_source
        self.next_bin += 1
        self._begin_bin()

    def _discontinuity(self, stamp: float, missing: int) -> None:
        if missing == RESTART or self._reconnected or self._policy == "reset":
            self._skip(stamp, lost_counts=not self._reconnected)
        else:
            self._fill(missing, stamp)

    def _skip(self, stamp: float, lost_counts: bool) -> None:
        """Begin anew at this sample, with bin indices that keep counting time where stamps allow it."""
        sample_s = self._layout.sample_s
        elapsed = (stamp - sample_s - self._last_end) / self._bin_s if self._bins_begun() else 0.0
        # Within a stream a gap costs a bin at least: the one that it left incomplete, or shifted.
        least = int(lost_counts and (self._collected > 0 or elapsed > 0))
        skipped = max(least, round(elapsed))
        if lost_counts:
            self.bins_lost += skipped
            self._say("gap", t_source=stamp, bins=skipped, policy="reset", missing_s=elapsed * self._bin_s)
        if not self._reconnected:
            self._sink.reset()
        self._reconnected = False
        self.next_bin += skipped
        self._begin_bin()

    def _bins_begun(self) -> bool:
        return not math.isnan(self._last_end)

    def _fill(self, missing: int, stamp: float) -> None:
        """Complete bins that the gap touches; the sample at hand then follows in its place."""
        per_bin, sample_s = self._layout.samples_per_bin, self._layout.sample_s
        self._say("gap", t_source=stamp, bins=missing / per_bin, policy=self._policy, missing_s=missing * sample_s)
        while missing:
            if self._collected == 0 and per_bin > 1 and self._policy == "hold" and missing >= per_bin:
                self._row[:] = self._held
            elif self._collected == 0 and self._policy == "zero":
                self._row[:] = 0
            taken = min(per_bin - self._collected, missing)
            missing -= taken
            self._collected += taken
            self._flags |= self._fill_flag
            if self._collected == per_bin:
                self._end_bin(stamp - (missing + 1) * sample_s)
