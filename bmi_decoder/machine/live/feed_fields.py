"""What compiled code and the interpreter share of a connection to an LSL outlet: one block of 64-bit fields."""

from __future__ import annotations

import ctypes
from collections import namedtuple
from typing import Any

_INTEGERS = (
    # functions of other libraries
    "clock",
    "poll",
    "receive",
    "error_number",
    # the connection; `watched` is the system's ``struct pollfd``, and the two behind it are its ``struct timespec``
    "descriptor",
    "watched",
    "seconds",
    "nanoseconds",
    # bytes that came: the buffer, the part of it that was not used yet, and how much of it is kept when it is full
    "buffer",
    "capacity",
    "begin",
    "end",
    "kept",
    # a sample's values: liblsl's number of their format, their size together, and room for them where they are aligned
    "format",
    "n_bytes",
    "values",
)
_REALS = (
    "stamp",
    "sample_s",
    "read_at",
)


class FeedFields(ctypes.Structure):
    """The block. Times are seconds, stamps on the sender's clock."""

    _fields_ = tuple((name, ctypes.c_int64) for name in _INTEGERS) + tuple((name, ctypes.c_double) for name in _REALS)


N_FIELDS = len(_INTEGERS) + len(_REALS)

AT: Any = namedtuple("AT", _INTEGERS + _REALS)(*range(N_FIELDS))
"""The index of each field, as compiled code finds it."""

LOST, MALFORMED = -2, -100
"""Errors of a pull: the first is liblsl's own number, the second is none of its numbers."""

DEDUCED, TRANSMITTED = 1, 2
"""What the first byte of a sample says of its stamp."""

FLOAT32, DOUBLE64, INT32, INT16, INT8, INT64 = 1, 2, 4, 5, 6, 7
"""liblsl's numbers of formats."""

READABLE = 1
"""``POLLIN``."""
