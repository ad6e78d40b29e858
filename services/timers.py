"""Waits that end when they are over."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_TIMERSLACK = 29


def sharpen_timers() -> None:
    """Let this thread's waits end on time, and not up to 50 us later to save power; Linux only, no rights needed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)
