"""The hot loop's work on one bin: decode, pack, send, record."""

from __future__ import annotations

import ctypes
import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
from pylsl.lib import lib

from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Flag
from services.ingest.channels import ChannelMonitor
from services.worker.flight.writer import FlightWriter
from services.worker.lane import Lane
from services.worker.outlets import Outlets
from services.worker.publisher import Publisher
from services.worker.snapshot import SnapshotRequest
from services.worker.swap import Candidate, Probation, SwapRequest

# Through a `PyDLL` a call keeps the interpreter's lock: asking for it back would cost far more than the call, most of
# all while another thread loads a decoder.
local_clock = ctypes.PyDLL(lib._name).lsl_local_clock
local_clock.restype = ctypes.c_double

# Plain numbers: arithmetic with an enumeration costs microseconds per bin.
_WARM_UP, _RESET, _INVALID, _SWAPPED = int(Flag.WARM_UP), int(Flag.RESET), int(Flag.INVALID), int(Flag.SWAPPED)


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
        Of this pipeline.
    outlets : Outlets, optional
        For those who receive over LSL.

    Attributes
    ----------
    lane : Lane
        What is published.
    shadow : Candidate, Probation or None
        What runs beside it, unseen: a lane on its way in, or the former one for a while.
    last_failure : (int, str) or None
        The revision that was last given up, before its switch or behind it, and why.
    requests : deque of SwapRequest or SnapshotRequest
        What other threads have asked for, see `ask`.
    fields : LiveFields
        Shared with the compiled loop, which runs while the decoder is lent.
    row : array (C,) of float32
        The bin to decode.
    pending : int
        Flags of the next message, beside its own.
    sequence : int
        Of the next message; also the number of bins decoded.
    bins_invalid : int
        Bins with input or output that was not finite.
    t_pulled : float
        When the newest sample was in hand, for the flight recorder; set by the loop.
    last_bin_at : float
        When the last estimate was published; NaN before the first.
    came_whole, end_window : callable
        Take the bin in the row into what is known of the channels; judge what is.
    """

    def __init__(
        self,
        session: str,
        pipeline: Pipeline,
        publisher: Publisher,
        flight: FlightWriter,
        revision: int,
        outlets: Outlets | None = None,
    ) -> None:
        self._session, self._publisher, self._flight, self._outlets = session, publisher, flight, outlets
        self.lane = self.lane_of(pipeline, revision)
        self.shadow: Candidate | Probation | None = None
        self.last_failure: tuple[int, str] | None = None
        self.fields = LiveFields()
        self.requests: deque[SwapRequest | SnapshotRequest] = deque()
        self._x, _ = pipeline.engine.rows()
        self.row = self._x[0]
        self._channels = ChannelMonitor(
            self.row,
            pipeline.bin_s,
            lambda: self.lane.pipeline.channel_means,
            lambda: self.masked,
            self.event,
            flight.set_channels,
        )
        self.came_whole, self.end_window = self._channels.add, self._channels.end_window
        self.pending = 0
        self.sequence = self.bins_invalid = 0
        self.t_pulled = math.nan
        self.last_bin_at = math.nan

    @property
    def masked(self) -> npt.NDArray[np.bool_]:
        """Channels (C,) that make no difference to what is published."""
        return self.lane.pipeline.masked

    def lane_of(self, pipeline: Pipeline, revision: int) -> Lane:
        """A lane that can be published here; called by any thread."""
        outlets = None if self._outlets is None else self._outlets.of(pipeline)
        return Lane(pipeline, revision, self._flight.n_values, outlets)

    def reset(self) -> None:
        """Return to the state before the first bin; the next message says so."""
        self.lane.reset()
        if self.shadow is not None:
            self.shadow.lane.reset()
        self.pending |= _RESET

    def switch(self, lane: Lane) -> None:
        """Publish another lane from the next message on, which says so."""
        self.lane = lane
        self.pending |= _SWAPPED
        self._flight.set_revision(lane.revision)
        self._channels.look_at_mask()

    def ask(self, request: SwapRequest | SnapshotRequest) -> None:
        """Ask the hot thread for something, from any thread; it takes requests between two bins."""
        self.requests.append(request)
        self.fields.attention = 1

    def take_requests(self) -> None:
        """Do what other threads ask; between two bins, or while none come."""
        self.fields.attention = 0
        while self.requests:
            request = self.requests.popleft()
            shadow = self.shadow
            if isinstance(request, SnapshotRequest):
                request.take(self)
            elif request.lane is not None:
                self.shadow = Candidate(self, request, request.lane)
            elif isinstance(shadow, Probation) and shadow.lane.revision == request.revision:
                request.decide(act=shadow.roll_back)
            else:
                request.decide(f"revision {request.revision} is not kept warm any more")

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
        lane, shadow = self.lane, self.shadow
        lane.run(self._x, lane.y)
        values = lane.values.tolist()
        broken = not math.isfinite(sum(values))
        if broken and shadow is not None and (former := shadow.fall_back(self._x)) is not None:
            lane, values = former, former.values.tolist()
            broken = not math.isfinite(sum(values))
        t_decoded = local_clock()
        if broken:
            flags |= _INVALID
        since = lane.since_reset
        if since < lane.longest_warm_up:
            flags |= _WARM_UP
            t_valid = [
                t_source if since < warm_up else t_source - lookahead * bin_s
                for lookahead, warm_up in zip(lane.lookahead, lane.warm_up, strict=True)
            ]
        else:
            t_valid = [t_source - lookahead * bin_s for lookahead in lane.lookahead]
        if self.pending:
            flags |= self.pending
            self.pending = 0
        lane.since_reset = since + 1
        t_publish = local_clock()
        self._publisher.send(lane.pack(self.sequence, bin_index, t_source, t_publish, flags, lane.revision, t_valid))
        self._flight.record(
            self.sequence,
            bin_index,
            t_source,
            self.t_pulled,
            t_decoded,
            t_publish,
            local_clock(),
            flags,
            lane.revision,
            values + lane.absent,
        )
        if lane.outlets is not None:
            lane.outlets.push(lane.values, t_source, flags)
        self.sequence += 1
        self.last_bin_at = t_publish
        if flags & _INVALID:
            self.bins_invalid += 1
        if broken:
            self.start_over(t_source, bin_index)
        if shadow is not None:
            shadow.follow(self._x)
        if self.requests:
            self.take_requests()

    def start_over(self, t_source: float, bin_index: int) -> None:
        """The outputs of this bin were not finite: a state that is not would spoil every bin to come."""
        self.event("invalid_output", t_source=t_source, bin=bin_index)
        self.lane.reset()
        self.pending |= _RESET

    def lend(self) -> bool:
        """Let the live loop decode; False if that has to be done here."""
        fields = self.fields
        if self.shadow is not None or not self.lane.lend(fields, self._x):
            return False
        self._channels.lend(fields)
        self._flight.lend(fields)
        fields.sequence, fields.pending, fields.bins_invalid = self.sequence, self.pending, self.bins_invalid
        fields.last_bin_at = self.last_bin_at
        return True

    def take_back(self) -> None:
        """Go on where the live loop is."""
        fields = self.fields
        self._channels.take_back(fields)
        self._flight.take_back(fields)
        self.lane.take_back(fields)
        self.sequence, self.pending, self.bins_invalid = fields.sequence, fields.pending, fields.bins_invalid
        self.last_bin_at = fields.last_bin_at

    def rehearse(self) -> None:
        """Do what `decode` will, for nobody: code, weights and message are in the processor's caches afterwards.

        Between two bins of a real stream others use the caches, and a cold bin takes several times as long.
        """
        lane = self.lane
        lane.rehearse()
        values = lane.values.tolist()
        if math.isfinite(sum(values)):
            now = local_clock()
            t_valid = [now - lookahead for lookahead in lane.lookahead]
            self._publisher.rehearse(lane.pack(self.sequence, 0, now, now, 0, lane.revision, t_valid))
            self._flight.rehearse(values + lane.absent)

    def event(self, event: str, **details: Any) -> None:
        """Publish a health event of this session."""
        self._publisher.health({"event": event, "session": self._session, "at": local_clock(), **details})
