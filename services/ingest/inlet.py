"""An LSL inlet that pulls into one preallocated row."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.lib import lib
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from bmi_decoder.machine.live.fields import LiveFields

CONNECT_TIMEOUT_S = 5.0
_LOST, _OK = -2, 0

_PULL = ctypes.cast(lib.lsl_pull_chunk_f, ctypes.c_void_p).value
_CLOCK = ctypes.cast(lib.lsl_local_clock, ctypes.c_void_p).value


class StreamLostError(Exception):
    """The outlet is gone."""


class SampleInlet:
    """Pulls one sample at a time, converted to float32 by liblsl, with its stamp in the local clock.

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

    Raises
    ------
    StreamLostError
        If the outlet vanishes while connecting.
    """

    def __init__(self, info: pylsl.StreamInfo) -> None:
        self._inlet = pylsl.StreamInlet(
            info, max_buflen=1, max_chunklen=1, recover=False, processing_flags=pylsl.proc_clocksync
        )
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
        self._stamp = ctypes.c_double()
        self._error = ctypes.c_int()
        self._error_at = ctypes.byref(self._error)
        self._arguments = (
            self._inlet.obj,
            ctypes.c_void_p(row.ctypes.data),
            ctypes.byref(self._stamp),
            ctypes.c_size_t(row.size),
            ctypes.c_size_t(1),
        )
        self._timeout = ctypes.c_double()

    def pull(self, timeout_s: float) -> float | None:
        """Wait for a sample; returns its stamp, with the values in the row, or None after the time-out.

        Raises
        ------
        StreamLostError
        """
        self._timeout.value = timeout_s
        n_values = lib.lsl_pull_chunk_f(*self._arguments, self._timeout, self._error_at)
        if self._error.value != _OK:
            self.check(self._error.value)
        return self._stamp.value if n_values else None

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop pull, into the row that its fields name."""
        fields.pull, fields.inlet, fields.clock = _PULL, self._inlet.obj.value, _CLOCK

    def check(self, error: int) -> None:
        """Raise what an error code of liblsl stands for.

        Raises
        ------
        StreamLostError
        """
        if error == _LOST:
            raise StreamLostError("the outlet is gone")
        pylsl.util.handle_error(error)

    def clock_offset(self) -> float:
        """Seconds that take a stamp of the sender's clock to ours, as last measured; from any thread.

        Raises
        ------
        StreamLostError
        """
        try:
            offset: float = self._inlet.time_correction(0.0)
        except (LslTimeoutError, LostError) as error:
            raise StreamLostError(str(error)) from None
        return offset

    def waiting(self) -> int:
        """Samples that have come and were not pulled yet; from any thread."""
        n_samples: int = self._inlet.samples_available()
        return n_samples

    def close(self) -> None:
        """Stop receiving. The inlet object itself is left to the garbage collector (liblsl issue 220)."""
        self._inlet.close_stream()
