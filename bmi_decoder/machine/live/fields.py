"""What the compiled live loop and the interpreter share: one block of 64-bit fields."""

from __future__ import annotations

import ctypes
from collections import namedtuple
from enum import IntFlag
from typing import Any

_INTEGERS = (
    # functions of other libraries, and what they are called with
    "pull",
    "inlet",
    "clock",
    "send",
    "socket",
    "idle_socket",
    "error",
    # vectors (n_channels,) of float32: the sample, the bin, the last bin, and each channel's sum, least and most; the
    # last says of each, in a byte, whether it is masked
    "n_channels",
    "sample",
    "row",
    "held",
    "sums",
    "least",
    "most",
    "masked",
    # the program: a `Call` for the row, another that is run in vain, and what the latter copies first
    "call",
    "rehearsal",
    "arena",
    "scratch",
    "n_arena",
    # the message, with its outputs (n_outputs,) of float32, and per variant lookahead and warm-up
    "message",
    "message_size",
    "header_words",
    "warm_up_flag",
    "invalid_flag",
    "outputs",
    "n_outputs",
    "n_variants",
    "lookahead",
    "warm_up",
    "longest_warm_up",
    "revision",
    # LSL outlets (n_variants,), or 0 for none, what their stamps are shifted by, and a row of float32 to push
    "push",
    "outlets",
    "shifts",
    "pushed",
    # the flight recorder's ring, and its counters
    "records",
    "record_size",
    "n_records",
    "n_values",
    "written",
    "counters",
    # settings
    "samples_per_bin",
    "holds",
    "rehearses",
    "busy_polls",
    "decodes",
    # counts
    "collected",
    "next_bin",
    "bins_in",
    "sequence",
    "pending",
    "since_reset",
    "bins_invalid",
    "window_bins",
    "window",
    # control
    "attention",
    "prepared",
    "taken",
)
_REALS = (
    "slice_s",
    "timeout_s",
    "raw_stamp",
    "offset",
    "measured_offset",
    "stamp",
    "sample_s",
    "bin_s",
    "expected",
    "threshold",
    "gain",
    "last_end",
    "last_whole",
    "arrived",
    "placed",
    "last_bin_at",
    "quickest",
    "late_s",
    "turn",
    "due",
    "took",
)


class LiveFields(ctypes.Structure):
    """The block. Addresses and counts are integers; times are seconds on the LSL clock.

    A sample comes with its raw stamp, on the sender's clock; `offset` takes it to ours, and follows what is measured.
    """

    _fields_ = tuple((name, ctypes.c_int64) for name in _INTEGERS) + tuple((name, ctypes.c_double) for name in _REALS)


REHEARSAL_WEIGHT = 0.1
"""Of the newest rehearsal in how long one takes."""

N_FIELDS = len(_INTEGERS) + len(_REALS)

AT: Any = namedtuple("AT", _INTEGERS + _REALS)(*range(N_FIELDS))
"""The index of each field, as compiled code finds it."""


class Outcome(IntFlag):
    """Why the compiled loop has come back; none of them when its time was over or somebody wants attention."""

    SAMPLE = 1
    """A sample was pulled that is for the interpreter: nothing has been done with it."""
    REHEARSE = 2
    """A sample is due soon, and the interpreter is to rehearse what it will do."""
    NOT_FINITE = 4
    """The bin that was just published has outputs that are not finite."""
    WINDOW = 8
    """The channels' window is full."""
    LOOK = 16
    """The stream's monitor wants to look at the sample that was just decoded."""
    PULL_FAILED = 32
    """With liblsl's error code in `error`."""
    SEND_FAILED = 64
    PUSH_FAILED = 128
    """With liblsl's error code in `error`."""
