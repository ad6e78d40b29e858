"""Looks at an inlet from beside the thread that pulls from it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from services.ingest.inlet import SampleInlet, StreamLostError

_EVERY_S = 1.0


class InletWatch(threading.Thread):
    """Once a second says what clock offset LSL has measured, and how many samples wait to be pulled.

    Both are numbers that liblsl has ready: it measures the offset in a thread of its own, every two seconds.

    Parameters
    ----------
    inlet : SampleInlet
        Open.
    show : callable
        Gets both.
    """

    def __init__(self, inlet: SampleInlet, show: Callable[[float, int], None]) -> None:
        super().__init__(name="inlet watch", daemon=True)
        self._inlet, self._show = inlet, show
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until ended, or until the stream is gone, which the thread that pulls finds out too."""
        try:
            while True:
                self._show(self._inlet.clock_offset(), self._inlet.waiting())
                if self._ended.wait(_EVERY_S):
                    return
        except StreamLostError:
            return

    def end(self) -> None:
        """Look no more; the inlet may be closed afterwards."""
        self._ended.set()
        self.join()
