"""An LSL inlet that pulls into one preallocated row."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.lib import lib
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from bmi_decoder.machine.live.feed_fields import LOST, MALFORMED
from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.machine.native import pull_address
from services.ingest.direct import connect_directly
from services.ingest.feed import Feed
from services.ingest.handshake import UnusableFeedError

CONNECT_TIMEOUT_S = 5.0
_OK = 0

_PULL: int = ctypes.cast(lib.lsl_pull_chunk_f, ctypes.c_void_p).value  # type: ignore[assignment]
_CLOCK = ctypes.cast(lib.lsl_local_clock, ctypes.c_void_p).value
PULL_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_double,
    ctypes.c_void_p,
)
"""``lsl_pull_chunk_f``, and what is called in its place."""


class StreamLostError(Exception):
    """The outlet is gone."""


class SampleInlet:
    """Pulls one sample at a time, converted to float32, with its stamp in the local clock.

    Clock synchronisation is the only post-processing: dejittering would hide gaps. The buffer holds one
    second, so a worker that falls behind loses samples, visibly, instead of lagging ever more. Recovery is
    off, because liblsl's own is silent.

    Parameters
    ----------
    info : pylsl.StreamInfo
        A resolved stream.

    Attributes
    ----------
    full_info : pylsl.StreamInfo
        With the description, which a resolved stream lacks.
    why_not_direct : str
        Why samples come through liblsl though the connection was to be read directly; empty if they do not.

    Raises
    ------
    StreamLostError
        If the outlet vanishes while connecting.
    """

    def __init__(self, info: pylsl.StreamInfo) -> None:
        self._inlet = pylsl.StreamInlet(
            info, max_buflen=1, max_chunklen=1, recover=False, processing_flags=pylsl.proc_clocksync
        )
        self._feed: Feed | None = None
        self.why_not_direct = ""
        try:
            self.full_info = self._inlet.info(CONNECT_TIMEOUT_S)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None

    def synchronise(self) -> None:
        """Estimate the offset of the sender's clock, if that has not been done: 0.6 s with liblsl's defaults."""
        try:
            self._inlet.time_correction(CONNECT_TIMEOUT_S)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None

    def open(self, row: npt.NDArray[np.float32], direct: bool = True) -> None:
        """Subscribe; samples are written to `row` (C,), float32 and contiguous.

        With `direct`, whoever pulls reads the connection itself. Else, or if this outlet does not allow it, a thread
        of liblsl's does, with a queue in between.
        """
        # Here, so that no sample has to wait for it.
        self.synchronise()
        try:
            self._inlet.open_stream(CONNECT_TIMEOUT_S)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None
        assert row.flags.c_contiguous and row.dtype == np.float32
        self._row = row
        self._take_over(direct)
        self._stamp = ctypes.c_double()
        self._error = ctypes.c_int()
        self._arguments = (
            ctypes.c_void_p(self._address),
            ctypes.c_void_p(row.ctypes.data),
            ctypes.byref(self._stamp),
            ctypes.c_int64(row.size),
            ctypes.c_int64(1),
        )
        self._error_at = ctypes.byref(self._error)
        self._timeout = ctypes.c_double()

    def _take_over(self, direct: bool) -> None:
        self._function, self._address = _PULL, self._inlet.obj.value
        if direct:
            try:
                self._feed = connect_directly(self.full_info, self.clock_offset(), CONNECT_TIMEOUT_S)
            except UnusableFeedError as error:
                self.why_not_direct = f"{error}; a thread of liblsl's reads it"
            else:
                self._inlet.close_stream()
                self._function, self._address = pull_address, self._feed.address
        self._call = PULL_TYPE(self._function)

    def pull(self, timeout_s: float) -> float | None:
        """Wait for a sample; returns its stamp, with the values in the row, or None after the time-out.

        Raises
        ------
        StreamLostError
        """
        self._timeout.value = timeout_s
        n_values = self._call(*self._arguments, self._timeout, self._error_at)
        if self._error.value != _OK:
            self.check(self._error.value)
        return self._stamp.value if n_values else None

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop pull, into the row that its fields name."""
        fields.pull, fields.inlet, fields.clock = self._function, self._address, _CLOCK

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
        """Seconds that take a stamp of the sender's clock to ours, as last measured; from any thread.

        Stamps that are pulled later follow it.

        Raises
        ------
        StreamLostError
        """
        try:
            offset: float = self._inlet.time_correction(0.0)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None
        if self._feed is not None:
            self._feed.correct(offset)
        return offset

    def waiting(self) -> int:
        """Samples that have come and were not pulled yet; from any thread."""
        if self._feed is not None:
            return self._feed.waiting()
        n_samples: int = self._inlet.samples_available()
        return n_samples

    def close(self) -> None:
        """Stop receiving. The inlet object itself is left to the garbage collector (liblsl issue 220)."""
        self._inlet.close_stream()
        if self._feed is not None:
            self._feed.close()
