"""LSL outlets of the tests' own: what they send, and a pull of it."""

from __future__ import annotations

import ctypes
import math
import socket
import struct

import numpy as np
import numpy.typing as npt

from bmi_decoder.machine.live.feed_fields import FLOAT32
from bmi_decoder.machine.native import pull_address
from services.ingest.feed import Feed
from services.ingest.handshake import Wanted, pattern_values, sample_bytes

HEAD = (
    b"LSL/110 200 OK\r\nUID: b1c4\r\nByte-Order: 1234\r\nSuppress-Subnormals: 0\r\nData-Protocol-Version: 110\r\n\r\n"
)
N_CHANNELS = 5
RATE_HZ = 8.0
LOST, MALFORMED = -2, -100

_pull = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_double,
    ctypes.c_void_p,
)(pull_address)


def wanted(form: int = FLOAT32, n_channels: int = N_CHANNELS, n_buffered: int = 8) -> Wanted:
    return Wanted("b1c4", form, n_channels, "rig", "rig-1", "default", n_buffered)


def sample(stamp: float | None, values: npt.ArrayLike, kind: str = "f4") -> bytes:
    """The bytes of a sample, with or without a stamp."""
    data = np.asarray(values, kind).tobytes()
    return b"\x01" + data if stamp is None else b"\x02" + struct.pack("<d", stamp) + data


def patterns(form: int = FLOAT32) -> bytes:
    """The test samples that an outlet sends first."""
    return b"".join(sample_bytes(123456.789, pattern_values(form, N_CHANNELS, offset)) for offset in (4, 2))


def greeting(form: int = FLOAT32) -> bytes:
    """All that an outlet says before samples come."""
    return HEAD + patterns(form)


class Line:
    """A feed and the outlet's end of its connection."""

    def __init__(self, ask: Wanted) -> None:
        self.outlet, self.connection = socket.socketpair()
        self.feed = Feed(self.connection, ask, RATE_HZ)
        self.row = np.full(ask.n_channels, math.nan, np.float32)
        self.error = ctypes.c_int()

    def pull(self, timeout_s: float = 0.0) -> tuple[float, list[float]] | int | None:
        """Stamp and values of the next sample; or None, or an error's number."""
        stamp = ctypes.c_double()
        self.error.value = 0
        got = _pull(
            self.feed.address,
            self.row.ctypes.data,
            ctypes.addressof(stamp),
            self.row.size,
            1,
            timeout_s,
            ctypes.addressof(self.error),
        )
        if self.error.value:
            assert got == 0
            return self.error.value
        assert got in (0, self.row.size)
        return (stamp.value, self.row.tolist()) if got else None

    def close(self) -> None:
        self.outlet.close()
        self.feed.close()
