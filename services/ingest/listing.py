"""What LabStreamingLayer shows, from a moment on. Imports little, so that a worker can begin with it."""

from __future__ import annotations

import time

import pylsl


class Listing:
    """Looks for streams in the background, in a thread of liblsl's.

    Attributes
    ----------
    began : float
        When the look-out began, ``time.monotonic``.
    """

    def __init__(self) -> None:
        self._resolver = pylsl.ContinuousResolver()
        self.began = time.monotonic()

    def infos(self) -> list[pylsl.StreamInfo]:
        """All streams that are there now."""
        found: list[pylsl.StreamInfo] = self._resolver.results()
        return found

    def close(self) -> None:
        """Ask nobody any more: answers take time, on both sides, and memory for every stream that ever answered."""
        del self._resolver
