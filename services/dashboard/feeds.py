"""Everything that a session page draws, from where it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.rest_models import SessionStatus
from services.dashboard.activity import SHOWN_S
from services.dashboard.estimates import EstimateFeed, latency_figures
from services.dashboard.layout import Layout
from services.dashboard.live_r2 import WINDOW_S, live_r2
from services.dashboard.neural import NeuralFeed
from services.dashboard.sources import columns_of, neural_stream, true_movement
from services.dashboard.streams import StreamWatch, WatchedStream
from services.dashboard.truth import TruthFeed

Arrays = dict[str, npt.NDArray[Any]]
_Samples = tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]


class SessionFeeds:
    """Estimates, channel activity and true movement of one session; none of them need be there.

    Parameters
    ----------
    watch : StreamWatch

    Attributes
    ----------
    speed : float
        How many times faster than real time the session's stream is replayed.
    """

    def __init__(self, watch: StreamWatch) -> None:
        self._watch = watch
        self._layout: Layout | None = None
        self._estimates: EstimateFeed | None = None
        self._neural: NeuralFeed | None = None
        self._truth: TruthFeed | None = None
        self.speed = 1.0

    @property
    def truth(self) -> str | None:
        """Name of the stream of true movement."""
        return None if self._truth is None else self._truth.stream.name

    def about(self) -> dict[str, Any]:
        """What a page must know before it can draw."""
        layout = {} if self._layout is None else self._layout.message()
        stride = 1 if self._estimates is None else self._estimates.stride
        return layout | {
            "step_s": layout.get("bin_s", 0.0) * stride,
            "column_s": None if self._neural is None else self._neural.column_s,
            "truth": self.truth,
        }

    async def follow(self, status: SessionStatus, layout: Layout, flight: Path) -> bool:
        """Receive what belongs to the session as it is now; True if a page must be told so.

        Parameters
        ----------
        status : SessionStatus
        layout : Layout
        flight : Path
            The session's flight recorder.
        """
        changed, former = layout != self._layout, self._layout
        if self._estimates is None or former is None or former.bin_s != layout.bin_s:
            if self._estimates is not None:
                self._estimates.close()
            self._estimates = EstimateFeed(flight, layout.bin_s)
        self._layout = layout
        changed |= self._estimates.follow(status.pid)
        streams = self._watch.visible()
        changed |= await self._follow_neural(neural_stream(streams, status.settings.stream))
        outputs = [name for name, _ in layout.outputs]
        return (
            await self._follow_truth(true_movement(streams, status.settings.stream.name, outputs), outputs) or changed
        )

    def new(self) -> Arrays:
        """What has come since the last call."""
        return _arrays(
            None if self._estimates is None else self._estimates.new(),
            None if self._neural is None else self._neural.new(),
            None if self._truth is None else self._truth.new(),
        )

    def history(self) -> Arrays:
        """What a page shows that comes now, up to what `new` has given."""
        return _arrays(
            None if self._estimates is None else self._estimates.history(SHOWN_S),
            None if self._neural is None else self._neural.history(),
            None if self._truth is None else self._truth.history(SHOWN_S),
        )

    def figures(self) -> dict[str, Any]:
        """Latency of the last minute, and R² of the estimates that were sent; null where there is none."""
        records = None if self._estimates is None else self._estimates.minute()
        if self._estimates is None or records is None or self._layout is None:
            return {"latency": None, "r2": None}
        r2 = None
        if self._truth is not None:
            shown, layout = self._estimates.thinned(records), self._layout
            r2 = live_r2(shown, layout.lookahead_s, layout.bin_s, *self._truth.kept())
        return {"latency": latency_figures(records), "r2": r2}

    async def close(self) -> None:
        """Let go of everything."""
        if self._estimates is not None:
            self._estimates.close()
        closing = [feed for feed in (self._neural, self._truth) if feed is not None]
        self._estimates = self._neural = self._truth = None
        for feed in closing:
            await feed.close()

    async def _follow_neural(self, found: WatchedStream | None) -> bool:
        if found is not None and found.stream.rate_hz <= 0:
            found = None
        if found is not None and found.description is not None:
            self.speed = found.description.speed
        former = self._neural
        if former is not None and not former.lost and found is not None and found.info is former.info:
            return False
        self._neural = None if found is None else NeuralFeed(found)
        if former is not None:
            await former.close()
        return former is not None or found is not None

    async def _follow_truth(self, found: WatchedStream | None, outputs: list[str]) -> bool:
        columns = None if found is None or found.description is None else columns_of(found, outputs)
        former = self._truth
        if former is not None and not former.lost and found is not None and found.info is former.info:
            return False
        usable = found is not None and columns is not None
        self._truth = TruthFeed(found, columns, WINDOW_S) if found is not None and columns is not None else None
        if former is not None:
            await former.close()
        return former is not None or usable


def _arrays(records: npt.NDArray[np.void] | None, neural: _Samples | None, truth: _Samples | None) -> Arrays:
    """The arrays of a frame, without those that are empty."""
    arrays: Arrays = {}
    if records is not None and len(records):
        arrays |= {"t": records["t_source"], "values": records["outputs"], "flags": records["flags"]}
    if neural is not None and len(neural[0]):
        arrays |= {"column_t": neural[0], "columns": neural[1]}
    if truth is not None and len(truth[0]):
        arrays |= {"truth_t": truth[0], "truth": truth[1]}
    return arrays
