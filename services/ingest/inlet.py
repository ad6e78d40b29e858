"""An LSL inlet that pulls into one preallocated row."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.lib import lib
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from bmi_decoder.machine.live.feed_fields import LOST, MALFORMED
from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.machine.native import pull_address
from services.ingest.clock import ClockOffset
from services.ingest.direct import connect_directly
from services.ingest.feed import Feed, StrayFeedError
from services.ingest.handshake import UnusableFeedError

CONNECT_TIMEOUT_S = 5.0
_OK = 0

_PULL = ctypes.cast(lib.lsl_pull_chunk_f, ctypes.c_void_p).value
_CLOCK = ctypes.cast(lib.lsl_local_clock, ctypes.c_void_p).value
lib.lsl_time_correction_ex.restype = ctypes.c_double


class StreamLostError(Exception):
    """The outlet is gone."""


class SampleInlet:
    """Pulls one sample at a time, converted to float32, with its stamp in the local clock.

    Nothing but the clock's offset is done to stamps: dejittering would hide gaps. The buffer holds one second, so a
    worker that falls behind loses samples, visibly, instead of lagging ever more. Recovery is off, because liblsl's own
    is silent.

    Parameters
    ----------
    info : pylsl.StreamInfo
        A resolved stream.

    Attributes
    ----------
    full_info : pylsl.StreamInfo
        With the description, which a resolved stream lacks.

    Raises
    ------
    StreamLostError
        If the outlet vanishes while connecting.
    """

    def __init__(self, info: pylsl.StreamInfo) -> None:
        self._inlet = pylsl.StreamInlet(info, max_buflen=1, max_chunklen=1, recover=False)
        # Another one for what is asked about the stream: it stays when the first one's connection is closed.
        self._about = pylsl.StreamInlet(info, max_buflen=1, recover=False)
        self._offset = ClockOffset()
        self._coming: Feed | None = None
        self._feed: Feed | None = None
        self._fields: LiveFields | None = None
        try:
            self.full_info = self._about.info(CONNECT_TIMEOUT_S)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None

    def synchronise(self) -> None:
        """Estimate the offset of the sender's clock, if that has not been done: 0.6 s with liblsl's defaults."""
        try:
            self._about.time_correction(CONNECT_TIMEOUT_S)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None

    def open(self, row: npt.NDArray[np.float32]) -> None:
        """Subscribe; samples are written to `row` (C,), float32 and contiguous."""
        # Here, so that no sample has to wait for it.
        self.synchronise()
        try:
            self._inlet.open_stream(CONNECT_TIMEOUT_S)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None
        assert row.flags.c_contiguous and row.dtype == np.float32
        self._row = row

    def pull(self, timeout_s: float) -> float | None:
        """Wait for a sample; returns its stamp, with the values in the row, or None after the time-out.

        Raises
        ------
        StreamLostError
        """
        stamp, error = ctypes.c_double(), ctypes.c_int()
        n_values = lib.lsl_pull_chunk_f(
            self._inlet.obj,
            ctypes.c_void_p(self._row.ctypes.data),
            ctypes.byref(stamp),
            ctypes.c_size_t(self._row.size),
            ctypes.c_size_t(1),
            ctypes.c_double(timeout_s),
            ctypes.byref(error),
        )
        if error.value != _OK:
            self.check(error.value)
        return stamp.value + self.clock_offset() if n_values else None

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop pull, into the row that its fields name."""
        self._fields = fields
        fields.pull, fields.inlet, fields.clock = _PULL, self._inlet.obj.value, _CLOCK
        fields.raw_stamp = math.nan
        fields.offset = fields.measured_offset = self.clock_offset()

    def connect_directly(self) -> str:
        """Let the live loop read the outlet's connection itself, without liblsl's thread and queue in between.

        liblsl brings samples until `settle` finds the same ones on the other connection.

        Returns
        -------
        str
            Why this cannot be; empty if it can.
        """
        try:
            self._coming = connect_directly(self.full_info, CONNECT_TIMEOUT_S)
        except UnusableFeedError as error:
            return str(error)
        return ""

    def settle(self) -> str | None:
        """Between two pulls of the live loop: change over as soon as no sample is lost or doubled by that.

        Returns
        -------
        str or None
            Once it is decided, why it cannot be, empty if it is done; None before, and afterwards.
        """
        fields, coming = self._fields, self._coming
        if coming is None or fields is None or math.isnan(fields.raw_stamp):
            return None
        try:
            if not coming.catch_up(fields.raw_stamp):
                return None
        except StrayFeedError as error:
            coming.close()
            self._coming = None
            return str(error)
        self._feed, self._coming = coming, None
        fields.pull, fields.inlet = pull_address, coming.address
        self._inlet.close_stream()
        return ""

    def check(self, error: int) -> None:
        """Raise what an error code of a pull stands for.

        Raises
        ------
        StreamLostError
        """
        if error == LOST:
            raise StreamLostError("the outlet is gone")
        if error == MALFORMED:
            raise StreamLostError("the outlet has sent what is no sample")
        pylsl.util.handle_error(error)

    def clock_offset(self) -> float:
        """Seconds that take a stamp of the sender's clock to ours, as best measured lately.

        The live loop follows it. Other threads may ask while it runs, one at a time.

        Raises
        ------
        StreamLostError
        """
        error = ctypes.c_int()
        sender_s, round_trip_s = ctypes.c_double(), ctypes.c_double()
        measured = lib.lsl_time_correction_ex(
            self._about.obj,
            ctypes.byref(sender_s),
            ctypes.byref(round_trip_s),
            ctypes.c_double(0.0),
            ctypes.byref(error),
        )
        if error.value != _OK:
            self.check(error.value)
        offset = self._offset.take(sender_s.value, measured, round_trip_s.value)
        if self._fields is not None:
            self._fields.measured_offset = offset
        return offset

    def waiting(self) -> int:
        """Samples that have come and were not pulled yet; from any thread."""
        feed = self._feed
        if feed is not None:
            return feed.waiting()
        n_samples: int = self._inlet.samples_available()
        return n_samples

    def close(self) -> None:
        """Stop receiving. The inlet objects themselves are left to the garbage collector (liblsl issue 220)."""
        self._inlet.close_stream()
        for feed in (self._coming, self._feed):
            if feed is not None:
                feed.close()
