"""The true movement, from a kinematics stream, thinned to what a screen can show."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from services.dashboard.estimates import POINTS_PER_S
from services.dashboard.inlet import DisplayInlet
from services.dashboard.streams import WatchedStream

Samples = tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]


class TruthFeed:
    """Receives a kinematics stream.

    Parameters
    ----------
    watched : WatchedStream
    columns : list of int
        Its channel for each output of the decoder.
    kept_s : float
        How much of it a page that comes later gets to see.
    """

    def __init__(self, watched: WatchedStream, columns: list[int], kept_s: float) -> None:
        self.stream = watched.stream
        self.info = watched.info
        self._columns, self._kept_s = columns, kept_s
        self._stride = max(1, int(np.ceil(watched.stream.rate_hz / POINTS_PER_S)))
        self._passed = 0
        self._kept: deque[Samples] = deque()
        self._inlet = DisplayInlet(watched.info)

    @property
    def lost(self) -> bool:
        """Whether the stream is gone."""
        return self._inlet.lost

    def new(self) -> Samples:
        """Stamps (n,) and movement (n, K) since the last call."""
        stamps, samples = self._inlet.pull()
        first = -self._passed % self._stride
        self._passed += len(stamps)
        new = stamps[first :: self._stride], samples[first :: self._stride, self._columns]
        if len(new[0]):
            self._kept.append(new)
            while self._kept[0][0][-1] < new[0][-1] - self._kept_s:
                self._kept.popleft()
        return new

    def history(self) -> Samples:
        """What has been given so far, as far as it is kept."""
        if not self._kept:
            return np.empty(0), np.empty((0, len(self._columns)), np.float32)
        return np.concatenate([t for t, _ in self._kept]), np.concatenate([x for _, x in self._kept])

    async def close(self) -> None:
        """Stop receiving."""
        await self._inlet.close()
