"""What comes over a connection to an LSL outlet, sample by sample, for the thread that decodes it."""

from __future__ import annotations

import ctypes
import fcntl
import math
import socket
import termios

import numpy as np
from pylsl.lib import lib

from bmi_decoder.machine.live.feed_fields import DEDUCED, READABLE, TRANSMITTED, FeedFields
from services.ingest.handshake import TYPES, Wanted

_SPARE = 8
"""The buffer has room for one part in so many beyond what is kept."""

_MOST_FILLS = 20
"""How often the buffer may fill, each time with a second of samples, before two ways are taken for different ones."""


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
        self._fills, self._stamp_before = 0, math.nan
        descriptor, libc = connection.fileno(), ctypes.CDLL(None)
        clock, poll, receive, error_number = (
            ctypes.cast(function, ctypes.c_void_p).value
            for function in (lib.lsl_local_clock, libc.ppoll, libc.recv, libc["__errno_location"])
        )
        self._fields = FeedFields(
            clock=clock,
            poll=poll,
            receive=receive,
            error_number=error_number,
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
        """Pass over all samples up to the one with this raw stamp; False if it has not come, or came too long ago.

        Of several with the same stamp the last one that has come.

        Raises
        ------
        StrayFeedError
            If it never will.
        """
        fields = self._fields
        try:
            n_bytes = self._connection.recv_into(self._buffer.data[fields.end :])
        except BlockingIOError:
            n_bytes = -1
        except OSError as error:
            raise StrayFeedError(str(error)) from None
        if n_bytes == 0:
            raise StrayFeedError("the outlet has ended the connection")
        fields.end += max(n_bytes, 0)
        at, last, behind = fields.begin, self._stamp_before, -1
        while (sample := self._sample(at, last)) is not None:
            at, last = sample
            if last == stamp:
                behind = at
            elif behind >= 0:
                break
        if behind >= 0:
            fields.begin, fields.stamp = behind, stamp
            return True
        if fields.end == self._buffer.size:
            self._pass_to(at, last)
        return False

    def _pass_to(self, at: int, stamp: float) -> None:
        """Forget what stands before this place, and make room."""
        fields, left = self._fields, self._fields.end - at
        self._buffer[:left] = self._buffer[at : fields.end].copy()
        fields.begin, fields.end, self._stamp_before = 0, left, stamp
        self._fills += 1
        if self._fills == _MOST_FILLS:
            raise StrayFeedError("its samples are not those that liblsl brings")

    def _sample(self, at: int, stamp_before: float) -> tuple[int, float] | None:
        """Where the sample behind the one at this place is, and this one's stamp; None if it has not come whole.

        A stamp that follows from one that this connection has not brought is NaN.
        """
        fields = self._fields
        if at == fields.end:
            return None
        tag = self._buffer[at]
        if tag not in (DEDUCED, TRANSMITTED):
            raise StrayFeedError("the outlet has sent what is no sample")
        end = at + fields.n_bytes + (9 if tag == TRANSMITTED else 1)
        if end > fields.end:
            return None
        return end, float(self._buffer[at + 1 : at + 9].view("f8")[0]) if tag == TRANSMITTED else (
            stamp_before + fields.sample_s
        )

    def waiting(self) -> int:
        """Samples that have come and were not pulled yet; from any thread."""
        n_bytes = ctypes.c_int()
        fcntl.ioctl(self._connection, termios.FIONREAD, n_bytes)
        buffered = self._fields.end - self._fields.begin
        return int(max(0, n_bytes.value + buffered) // self._size)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
