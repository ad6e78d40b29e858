"""The stream that a session decodes, received a second time for the picture of its channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.dashboard.activity import ChannelActivity
from services.dashboard.inlet import DisplayInlet
from services.dashboard.streams import WatchedStream


class NeuralFeed:
    """Receives a stream of counts and sums it to rates.

    Parameters
    ----------
    watched : WatchedStream
    """

    def __init__(self, watched: WatchedStream) -> None:
        self.info = watched.info
        self._inlet = DisplayInlet(watched.info)
        self._activity = ChannelActivity(watched.stream.n_channels, 1 / watched.stream.rate_hz)
        self._given = 0

    @property
    def lost(self) -> bool:
        """Whether the stream is gone."""
        return self._inlet.lost

    @property
    def column_s(self) -> float:
        """Length of a column."""
        return self._activity.column_s

    def new(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """Starts (m,) and rates (m, C) of the columns that are complete since the last call."""
        stamps, samples = self._inlet.pull()
        if len(stamps):
            self._activity.add(stamps, samples)
        columns = self._activity.since(self._given)
        self._given = self._activity.n_done
        return columns

    def history(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """What has been given so far, as far as it is kept."""
        return self._activity.since(0)

    async def close(self) -> None:
        """Stop receiving."""
        await self._inlet.close()
