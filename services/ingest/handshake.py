"""What an LSL inlet and an outlet say to each other before samples come, in version 1.10 of the protocol.

Source: liblsl, ``src/data_receiver.cpp`` and ``src/sample.cpp``.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pylsl

from bmi_decoder.machine.live.feed_fields import DOUBLE64, FLOAT32, INT8, INT16, INT32, INT64, TRANSMITTED

VERSION = 110

TYPES: dict[int, np.dtype[Any]] = {
    FLOAT32: np.dtype(np.float32),
    DOUBLE64: np.dtype(np.float64),
    INT32: np.dtype(np.int32),
    INT16: np.dtype(np.int16),
    INT8: np.dtype(np.int8),
    INT64: np.dtype(np.int64),
}
"""The formats that are read here: all but text."""

_ORDER = {"little": 1234, "big": 4321}[sys.byteorder]

_LONGEST_REPLY = 16384

_TEST_STAMP = 123456.789
_FIRST_VALUES = {FLOAT32: 0, DOUBLE64: 16777217, INT32: 65537, INT16: 257, INT8: 1, INT64: 2147483649}
_TEST_OFFSETS = (4, 2)


class UnusableFeedError(Exception):
    """The outlet speaks in a way that liblsl may understand, and this module does not."""


class OtherOutletError(Exception):
    """Another outlet answers at this address."""


class Wanted(NamedTuple):
    """What is asked for."""

    uid: str
    format: int
    n_channels: int
    hostname: str
    source_id: str
    session_id: str
    n_buffered: int

    @classmethod
    def of(cls, info: pylsl.StreamInfo, n_buffered: int) -> Wanted:
        """A resolved stream, of which the outlet keeps `n_buffered` samples for an inlet that does not read."""
        return cls(
            info.uid(),
            info.channel_format(),
            info.channel_count(),
            info.hostname(),
            info.source_id(),
            info.session_id(),
            n_buffered,
        )


def shake_hands(connection: socket.socket, wanted: Wanted, timeout_s: float) -> None:
    """Ask for samples, and check that they will come as expected; the next byte is the first sample's.

    Raises
    ------
    UnusableFeedError
    OtherOutletError
    OSError
        If the connection ends in the middle, or not all comes in time.
    """
    said = _Said(connection, timeout_s)
    connection.sendall(request(wanted))
    _check_reply(_reply(said), wanted.uid)
    for offset in _TEST_OFFSETS:
        expected = sample_bytes(_TEST_STAMP, pattern_values(wanted.format, wanted.n_channels, offset))
        if said.exactly(len(expected)) != expected:
            raise UnusableFeedError("its test samples are not what this protocol says")


class _Said:
    """What the other side says, in the time that it has for all of it."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self._connection, self._until = connection, time.monotonic() + timeout_s

    def some(self, most: int) -> bytes:
        """At most so many bytes; none if the connection has ended."""
        self._connection.settimeout(max(self._until - time.monotonic(), 1e-6))
        return self._connection.recv(most)

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        content = bytearray()
        while len(content) < size:
            part = self.some(size - len(content))
            if not part:
                raise ConnectionResetError("the outlet has ended the connection")
            content += part
        return bytes(content)


def request(wanted: Wanted) -> bytes:
    """What an inlet says first."""
    lines = (
        f"LSL:streamfeed/{VERSION} {wanted.uid}",
        f"Native-Byte-Order: {_ORDER}",
        # No number of ours: an outlet with the other byte order converts, as numbers are not converted here.
        "Endian-Performance: 0",
        "Has-IEEE754-Floats: 1",
        "Supports-Subnormals: 1",
        f"Value-Size: {TYPES[wanted.format].itemsize}",
        f"Data-Protocol-Version: {VERSION}",
        f"Max-Buffer-Length: {wanted.n_buffered}",
        "Max-Chunk-Length: 1",
        f"Hostname: {wanted.hostname}",
        f"Source-Id: {wanted.source_id}",
        f"Session-Id: {wanted.session_id}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def pattern_values(form: int, n_channels: int, offset: int) -> npt.NDArray[np.generic]:
    """The values (C,) of a test sample."""
    kind = TYPES[form]
    values = np.arange(n_channels, dtype=np.int64) + offset + _FIRST_VALUES[form]
    # Numbers of 64 bits alone cannot become too large for their format.
    if kind.kind == "i" and form != INT64:
        values %= np.iinfo(kind).max
    values[1::2] *= -1
    return values.astype(kind)


def sample_bytes(stamp: float, values: npt.NDArray[np.generic]) -> bytes:
    """A sample as it is sent, with its stamp."""
    return bytes([TRANSMITTED]) + np.float64(stamp).tobytes() + values.tobytes()


def _reply(said: _Said) -> str:
    reply = bytearray()
    while not reply.endswith(b"\r\n\r\n"):
        # One by one, for what follows is no text; this is done once.
        byte = said.some(1)
        if not byte:
            break  # as an outlet does that refuses
        reply += byte
        if len(reply) > _LONGEST_REPLY:
            raise UnusableFeedError("its answer does not end")
    return reply.decode("latin-1")


def _check_reply(reply: str, uid: str) -> None:
    status, *lines = reply.split("\r\n")
    version, _, rest = status.partition(" ")
    if version.startswith("LSL/") and rest.startswith("404"):
        raise OtherOutletError
    if not version.startswith("LSL/") or not rest.startswith("200"):
        raise UnusableFeedError(f"it answers {status[:100]!r}")
    said = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if said.get("uid", uid) != uid:
        raise OtherOutletError
    if said.get("data-protocol-version") != str(VERSION):
        raise UnusableFeedError(f"it sends version {said.get('data-protocol-version', '100')[:20]} of the protocol")
    # Some versions say 0 for the inlet's own.
    if said.get("byte-order", "0") not in ("0", str(_ORDER)):
        raise UnusableFeedError("its numbers are in another byte order")
