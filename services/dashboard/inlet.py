"""An LSL inlet for display: pulls whatever has come, many samples in one call."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.lib import lib
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

_OPEN_TIMEOUT_S = 5.0
_BUFFER_S = 2
_LONGEST_PULL_S = 0.5
_CHUNK_S = 0.02
_OK = 0


class DisplayInlet:
    """Receives a stream for a page, converted to float32 by liblsl. It opens in the background.

    Parameters
    ----------
    info : pylsl.StreamInfo
        A resolved stream.

    Attributes
    ----------
    lost : bool
        Whether the outlet is gone, or never answered.
    """

    def __init__(self, info: pylsl.StreamInfo) -> None:
        rate = info.nominal_srate()
        n_samples = max(16, round(rate * _LONGEST_PULL_S))
        self.lost = False
        self._samples = np.empty((n_samples, info.channel_count()), np.float32)
        self._stamps = np.empty(n_samples)
        self._inlet = pylsl.StreamInlet(
            info,
            max_buflen=_BUFFER_S,
            max_chunklen=max(1, round(rate * _CHUNK_S)),
            recover=False,
            processing_flags=pylsl.proc_clocksync,
        )
        self._opening = asyncio.get_running_loop().create_task(asyncio.to_thread(self._open))

    def pull(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """Stamps (n,) and samples (n, C) that have come since; valid until the next call. Does not wait."""
        if self.lost or not self._opening.done():
            return self._stamps[:0], self._samples[:0]
        error = ctypes.c_int()
        n_values = lib.lsl_pull_chunk_f(
            self._inlet.obj,
            ctypes.c_void_p(self._samples.ctypes.data),
            ctypes.c_void_p(self._stamps.ctypes.data),
            ctypes.c_size_t(self._samples.size),
            ctypes.c_size_t(self._stamps.size),
            ctypes.c_double(0.0),
            ctypes.byref(error),
        )
        self.lost = error.value != _OK
        n = 0 if self.lost else n_values // self._samples.shape[1]
        return self._stamps[:n].copy(), self._samples[:n]

    async def close(self) -> None:
        """Stop receiving."""
        await asyncio.wait([self._opening])
        with contextlib.suppress(LostError):
            self._inlet.close_stream()

    def _open(self) -> None:
        try:
            self._inlet.time_correction(_OPEN_TIMEOUT_S)
            self._inlet.open_stream(_OPEN_TIMEOUT_S)
        except (LslTimeoutError, LostError):
            self.lost = True
