"""What comes over a connection to an LSL outlet, sample by sample, for the thread that decodes it."""

from __future__ import annotations

import ctypes
import fcntl
import math
import socket
import termios

import numpy as np
from pylsl.lib import lib

from bmi_decoder.machine.live.feed_fields import READABLE, TRANSMITTED, FeedFields
from services.ingest.handshake import TYPES, Wanted

_SPARE = 8
"""The buffer has room for one part in so many beyond what is kept."""

_libc = ctypes.CDLL(None)
_CLOCK, _POLL, _RECEIVE, _ERROR_NUMBER = (
    ctypes.cast(function, ctypes.c_void_p).value
    for function in (lib.lsl_local_clock, _libc.ppoll, _libc.recv, _libc["__errno_location"])
)


class StrayFeedError(Exception):
    """A connection does not bring what another one of the same outlet brings."""


class Feed:
    """Samples as `bmi_decoder.machine.live.feed.pull` finds them.

    Parameters
    ----------
    connection : socket
        Over which samples come next; the feed closes it.
    wanted : Wanted
        What was asked for.
    rate_hz : float
        The stream's own, 0 if it is not regular.

    Attributes
    ----------
    address : int
        Of the fields that compiled code reads.
    """

    def __init__(self, connection: socket.socket, wanted: Wanted, rate_hz: float) -> None:
        connection.setblocking(False)
        self._connection = connection
        n_bytes = wanted.n_channels * TYPES[wanted.format].itemsize
        self._size, kept = 9 + n_bytes, wanted.n_buffered
        self._buffer = np.empty((kept + math.ceil(kept / _SPARE)) * self._size, np.uint8)
        self._values = np.empty(math.ceil(max(n_bytes, 8) / 8), np.float64)
        descriptor = connection.fileno()
        self._fields = FeedFields(
            clock=_CLOCK,
            poll=_POLL,
            receive=_RECEIVE,
            error_number=_ERROR_NUMBER,
            descriptor=descriptor,
            watched=descriptor | READABLE << 32,
            buffer=self._buffer.ctypes.data,
            capacity=self._buffer.size,
            kept=kept * self._size,
            format=wanted.format,
            n_bytes=n_bytes,
            values=self._values.ctypes.data,
            sample_s=1 / rate_hz if rate_hz else 0.0,
        )
        self.address = ctypes.addressof(self._fields)

    def catch_up(self, stamp: float) -> bool:
        """Pass over all samples up to the one with this raw stamp; False, and nothing changed, if it has not come.

        Raises
        ------
        StrayFeedError
            If it never will.
        """
        fields = self._fields
        room = self._buffer.data[fields.end :]
        try:
            n_bytes = self._connection.recv_into(room) if room else 0
        except BlockingIOError:
            n_bytes = -1
        except OSError as error:
            raise StrayFeedError(str(error)) from None
        fields.end += max(n_bytes, 0)
        at, fields.stamp = fields.begin, 0.0
        while (sample := self._sample(at)) is not None:
            at, fields.stamp = sample
            if fields.stamp == stamp:
                fields.begin = at
                return True
        if n_bytes == 0:
            raise StrayFeedError("its samples are not those that liblsl brings")
        return False

    def _sample(self, at: int) -> tuple[int, float] | None:
        """Where the sample behind the one at this place is, and this one's stamp; None if it has not come whole."""
        fields = self._fields
        if at == fields.end:
            return None
        stamped = self._buffer[at] == TRANSMITTED
        end = at + fields.n_bytes + (9 if stamped else 1)
        if end > fields.end:
            return None
        return end, float(self._buffer[at + 1 : at + 9].view("f8")[0]) if stamped else fields.stamp + fields.sample_s

    def waiting(self) -> int:
        """Samples that have come and were not pulled yet; from any thread."""
        n_bytes = ctypes.c_int()
        fcntl.ioctl(self._connection, termios.FIONREAD, n_bytes)
        buffered = self._fields.end - self._fields.begin
        return int(max(0, n_bytes.value + buffered) // self._size)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
