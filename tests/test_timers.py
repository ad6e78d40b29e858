from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.timers import sharpen_timers

_PR_GET_TIMERSLACK = 30


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone delays timers")
def test_timers_of_a_thread_are_sharp() -> None:
    def slack_ns() -> int:
        sharpen_timers()
        return int(ctypes.CDLL(None).prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0))

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(slack_ns).result() == 1
