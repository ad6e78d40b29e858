"""Signals that end the demo, however often and whenever they come."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a KeyboardInterrupt.

    Later ones are ignored: an impatient second Ctrl-C must not cut short what the first one has begun. Python
    drops an exception that a signal raises inside a finaliser, so call `check` now and then.
    """

    def __init__(self) -> None:
        self._held = self._came = False
        for number in _NUMBERS:
            signal.signal(number, self._handle)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold them back while something is half done that nobody could undo."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.check()

    def check(self) -> None:
        """Raise the KeyboardInterrupt if a signal has come."""
        if self._came:
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)
        self._came = True
        if not self._held:
            raise KeyboardInterrupt
