"""What everything that plays into LSL outlets has in common: wait for somebody, play, linger, stop."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from types import FrameType

import pylsl

from bmi_decoder.commands.options import say

LINGER_S = 2.0
"""How long the outlets stay open behind the last sample: liblsl drops what a destroyed outlet has not sent."""

POLL_S = 0.2
"""Longest wait before a player looks whether it is to stop."""


class OutletPlayer(ABC):
    """Plays into outlets.

    Parameters
    ----------
    first : StreamOutlet
        Whose consumers are waited for.

    Attributes
    ----------
    pushed : int
        Samples that were pushed to it so far.
    stop : bool
        Set it and `play` returns at the next sample.
    """

    def __init__(self, first: pylsl.StreamOutlet) -> None:
        self._first = first
        self.pushed = 0
        self.stop = False

    def wait_for_consumer(self) -> bool:
        """Wait until somebody receives the first stream; False if stopped before."""
        while not self.stop:
            if self._first.wait_for_consumers(POLL_S):
                return True
        return False

    @abstractmethod
    def play(self) -> None:
        """Push everything, each sample when it is due."""

    def linger(self) -> None:
        """Keep the outlets open until what was pushed has been sent."""
        deadline = time.monotonic() + LINGER_S
        while time.monotonic() < deadline and not self.stop:
            time.sleep(0.05)


def play_until_stopped(player: OutletPlayer, wait: bool) -> bool:
    """Play to the end, or until SIGINT or SIGTERM comes; False if it came before anybody listened.

    Parameters
    ----------
    player : OutletPlayer
    wait : bool
        Whether to begin only when an inlet has connected.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        player.stop = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if wait:
        say("waiting for an inlet to connect ...")
        if not player.wait_for_consumer():
            return False
    player.play()
    player.linger()
    return True
