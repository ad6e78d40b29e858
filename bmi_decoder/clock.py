"""The clock that everything is stamped with."""

from __future__ import annotations

import time


def lsl_clock() -> float:
    """The LSL clock in seconds, without loading liblsl: on Linux and macOS it is the monotonic clock."""
    return time.monotonic()
