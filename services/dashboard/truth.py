"""The true movement, from a kinematics stream: all of the last minute, and thinned to what a screen can show."""

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
        How much of it is kept.
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
        """Stamps (n,) and movement (n, K) since the last call, thinned."""
        stamps, samples = self._inlet.pull()
        first = -self._passed % self._stride
        self._passed += len(stamps)
        movement = samples[:, self._columns]
        if len(stamps):
            self._kept.append((stamps, movement))
            while self._kept[0][0][-1] < stamps[-1] - self._kept_s:
                self._kept.popleft()
        return stamps[first :: self._stride], movement[first :: self._stride]

    def kept(self) -> Samples:
        """All that is kept, not thinned."""
        if not self._kept:
            return np.empty(0), np.empty((0, len(self._columns)), np.float32)
        return np.concatenate([t for t, _ in self._kept]), np.concatenate([x for _, x in self._kept])

    def history(self, seconds: float) -> Samples:
        """The newest seconds of what has been given so far, thinned."""
        stamps, movement = self.kept()
        first = int(np.searchsorted(stamps, stamps[-1] - seconds)) if len(stamps) else 0
        return stamps[first :: self._stride], movement[first :: self._stride]

    async def close(self) -> None:
        """Stop receiving."""
        await self._inlet.close()
