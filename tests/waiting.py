"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE_S = 45.0
T = TypeVar("T")


def eventually(get: Callable[[], T], condition: Callable[[T], bool], timeout_s: float = DEADLINE_S) -> T:
    """Poll `get` until `condition` holds for its value, and return the value."""
    deadline = time.monotonic() + timeout_s
    while not condition(value := get()):
        assert time.monotonic() < deadline, f"after {timeout_s:g} s still {value!r}"
        time.sleep(0.02)
    return value
