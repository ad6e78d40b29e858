"""The hot loop's work on one bin: decode, pack, send, record."""

from __future__ import annotations

import math
from typing import Any

from pylsl.lib import lib

from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import EstimatePacker, Flag
from services.worker.flight import FlightWriter
from services.worker.publisher import Publisher

local_clock = lib.lsl_local_clock

# Plain numbers: arithmetic with an enumeration costs microseconds per bin.
_WARM_UP, _RESET, _INVALID = int(Flag.WARM_UP), int(Flag.RESET), int(Flag.INVALID)


class BinDecoder:
    """Everything between a complete bin and its estimate on the wire.

    The input row is written by the inlet, and the pipeline writes its outputs into the message itself, so
    nothing is copied or allocated on the way.

    Parameters
    ----------
    session : str
        Named in health events.
    pipeline : Pipeline
    publisher : Publisher
    flight : FlightWriter
    revision : int
        Goes into every message.

    Attributes
    ----------
    row : array (C,) of float32
        The bin to decode.
    sequence : int
        Of the next message; also the number of bins decoded.
    bins_invalid : int
        Bins with input or output that was not finite.
    t_pulled : float
        When the newest sample was in hand, for the flight recorder; set by the loop.
    last_bin_at : float
        When the last estimate was published; NaN before the first.
    """

    def __init__(
        self, session: str, pipeline: Pipeline, publisher: Publisher, flight: FlightWriter, revision: int
    ) -> None:
        self._session, self.pipeline = session, pipeline
        self._publisher, self._flight, self.revision = publisher, flight, revision
        self._x, _ = pipeline.engine.rows()
        self.row = self._x[0]
        self._packer = EstimatePacker(pipeline.variants, len(pipeline.outputs))
        self._y = self._packer.outputs.reshape(1, -1)
        self._values = self._y[0]
        self._lookahead_bins = pipeline.lookahead
        self._warm_up = pipeline.warm_up
        self._longest_warm_up = max(pipeline.warm_up)
        self._since_reset = 0
        self._pending = 0
        self.sequence = self.bins_invalid = 0
        self.t_pulled = math.nan
        self.last_bin_at = math.nan
        self._warm_caches()

    def _warm_caches(self) -> None:
        """Run once with the real shapes, so that no session pays for the first call."""
        self.pipeline.engine.run_into(self._x, self._y)
        self.pipeline.reset()

    def reset(self) -> None:
        """Return to the state before the first bin; the next message says so."""
        self.pipeline.reset()
        self._since_reset = 0
        self._pending = _RESET

    def decode(self, bin_index: int, t_source: float, bin_s: float, flags: int) -> None:
        """Decode the row and publish the estimate.

        Parameters
        ----------
        bin_index : int
        t_source : float
            End of the bin, LSL clock.
        bin_s : float
            Duration of a bin on that clock (shorter than the decoder's own in a fast replay).
        flags : int
        """
        self.pipeline.engine.run_into(self._x, self._y)
        values = self._values.tolist()
        t_decoded = local_clock()
        broken = not math.isfinite(sum(values))
        if broken:
            flags |= _INVALID
        since = self._since_reset
        if since < self._longest_warm_up:
            flags |= _WARM_UP
            t_valid = [
                t_source if since < warm_up else t_source - lookahead * bin_s
                for lookahead, warm_up in zip(self._lookahead_bins, self._warm_up, strict=True)
            ]
        else:
            t_valid = [t_source - lookahead * bin_s for lookahead in self._lookahead_bins]
        if self._pending:
            flags |= self._pending
            self._pending = 0
        self._since_reset = since + 1
        t_publish = local_clock()
        self._publisher.send(
            self._packer.pack(self.sequence, bin_index, t_source, t_publish, flags, self.revision, t_valid)
        )
        self._flight.record(
            self.sequence,
            bin_index,
            t_source,
            self.t_pulled,
            t_decoded,
            t_publish,
            local_clock(),
            flags,
            self.revision,
            values,
        )
        self.sequence += 1
        self.last_bin_at = t_publish
        if flags & _INVALID:
            self.bins_invalid += 1
        if broken:
            # A non-finite state would spoil every bin to come.
            self.event("invalid_output", t_source=t_source, bin=bin_index)
            self.reset()

    def event(self, event: str, **details: Any) -> None:
        """Publish a health event of this session."""
        self._publisher.health({"event": event, "session": self._session, "at": local_clock(), **details})
