"""What the pages of one session see: read once, packed once, sent to each of them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.rest_models import SessionStatus
from services.control.context import Control
from services.control.problem import Problem
from services.control.sessions import current_status
from services.dashboard.activity import SHOWN_S
from services.dashboard.estimates import EstimateFeed, latency_figures
from services.dashboard.frame import pack_frame
from services.dashboard.layout import Layout, layout_of
from services.dashboard.live_r2 import WINDOW_S, live_r2
from services.dashboard.neural import NeuralFeed
from services.dashboard.sources import columns_of, neural_stream, true_movement
from services.dashboard.streams import StreamWatch
from services.dashboard.truth import TruthFeed

TICK_S = 0.04
_STATUS_TICKS, _FIGURES_TICKS = 12, 25
_QUEUE = 64
_FAULT_PAUSE_S = 1.0
_log = logging.getLogger(__name__)

Message = str | bytes | None


class Viewer:
    """One open page: a queue of messages, at whose end stands None if the page could not keep up."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue(_QUEUE)

    def put(self, message: str | bytes) -> None:
        """Add a message; a page that has left this many unread is cut off, and comes back with a fresh view."""
        if self.queue.full():
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)
        else:
            self.queue.put_nowait(message)


class SessionLive:
    """Follows one session while it has viewers. Used in one event loop.

    Parameters
    ----------
    name : str
    control : Control
    watch : StreamWatch

    Attributes
    ----------
    status : SessionStatus or None
        Twice a second; None before the first look, and where there is no such session.
    """

    def __init__(self, name: str, control: Control, watch: StreamWatch) -> None:
        self._name, self._control, self._watch = name, control, watch
        self._viewers: set[Viewer] = set()
        self._running: asyncio.Task[None] | None = None
        self.status: SessionStatus | None = None
        self._layout: Layout | None = None
        self._estimates: EstimateFeed | None = None
        self._neural: NeuralFeed | None = None
        self._truth: TruthFeed | None = None
        self._speed = 1.0

    def join(self, viewer: Viewer) -> None:
        """Begin to send to a page, with what there is already."""
        self._viewers.add(viewer)
        for message in self._greeting():
            viewer.put(message)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run(), name=f"live {self._name}")

    @property
    def truth(self) -> str | None:
        """Name of the stream of true movement, if there is one."""
        return None if self._truth is None else self._truth.stream.name

    def leave(self, viewer: Viewer) -> bool:
        """Send no more to a page; True if it was the last one."""
        self._viewers.discard(viewer)
        return not self._viewers

    async def close(self) -> None:
        """Let go of everything."""
        self._viewers.clear()
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        tick = 0
        try:
            while self._viewers:
                started = time.monotonic()
                try:
                    if tick % _STATUS_TICKS == 0:
                        await self._look()
                    self._send_samples()
                    if tick % _FIGURES_TICKS == 1:
                        self._send_figures()
                except Exception:
                    _log.exception("session %s cannot be shown, trying again", self._name)
                    await asyncio.sleep(_FAULT_PAUSE_S)
                tick += 1
                await asyncio.sleep(max(0.0, started + TICK_S - time.monotonic()))
        finally:
            await self._release()

    async def _look(self) -> None:
        """Status, and whether worker, streams and layout are still the same."""
        try:
            self.status = await current_status(self._control, self._name)
        except Problem as problem:
            self.status = None
            self._send({"kind": "gone", "detail": problem.detail})
            return
        decoder = await asyncio.to_thread(self._control.store.decoder, self.status.decoder)
        layout = None if decoder is None else layout_of(self.status, decoder, self._speed)
        changed = layout != self._layout
        if layout is not None:
            if self._estimates is None or self._layout is None or self._layout.bin_s != layout.bin_s:
                if self._estimates is not None:
                    self._estimates.close()
                files = self._control.supervisor.session(self._name).files
                self._estimates = EstimateFeed(files.flight, layout.bin_s)
            self._layout = layout
            changed |= self._estimates.follow(self.status.pid)
            changed |= await self._follow_streams(self.status, layout)
        if changed:
            self._send(self._layout_message())
        self._send(self._status_message())

    async def _follow_streams(self, status: SessionStatus, layout: Layout) -> bool:
        """Receive what belongs to the session; True if that is something else now."""
        streams = self._watch.visible()
        changed = False
        found = neural_stream(streams, status.settings.stream)
        if found is not None and found.stream.rate_hz <= 0:
            found = None
        if found is not None and found.description is not None:
            self._speed = found.description.speed
        if self._neural is not None and (self._neural.lost or found is None or found.info is not self._neural.info):
            await self._neural.close()
            self._neural, changed = None, True
        if self._neural is None and found is not None:
            self._neural, changed = NeuralFeed(found), True
        outputs = [name for name, _ in layout.outputs]
        truth = true_movement(streams, status.settings.stream.name, outputs)
        columns = None if truth is None or truth.description is None else columns_of(truth, outputs)
        if self._truth is not None and (self._truth.lost or truth is None or truth.info is not self._truth.info):
            await self._truth.close()
            self._truth, changed = None, True
        if self._truth is None and truth is not None and columns is not None:
            self._truth, changed = TruthFeed(truth, columns, WINDOW_S), True
        return changed

    def _send_samples(self) -> None:
        records = None if self._estimates is None else self._estimates.new()
        neural = None if self._neural is None else self._neural.new()
        truth = None if self._truth is None else self._truth.new()
        arrays = _arrays(records, neural, truth)
        if arrays:
            self._send(pack_frame({"kind": "samples"}, arrays))

    def _send_figures(self) -> None:
        records = None if self._estimates is None else self._estimates.minute()
        figures = None if records is None else latency_figures(records)
        self._send({"kind": "latency", "figures": figures})
        if records is not None and self._truth is not None and self._layout is not None:
            lags, bin_s = self._layout.lookahead_s, self._layout.bin_s
            self._send({"kind": "r2", "r2": live_r2(records, lags, bin_s, *self._truth.kept())})

    def _greeting(self) -> list[str | bytes]:
        messages: list[str | bytes] = []
        if self.status is not None and self._layout is not None:
            messages += [_text(self._layout_message()), _text(self._status_message())]
        arrays = _arrays(
            None if self._estimates is None else self._estimates.history(SHOWN_S),
            None if self._neural is None else self._neural.history(),
            None if self._truth is None else self._truth.history(SHOWN_S),
        )
        if arrays:
            messages.append(pack_frame({"kind": "samples"}, arrays))
        return messages

    def _layout_message(self) -> dict[str, Any]:
        layout = {} if self._layout is None else self._layout.message()
        stride = 1 if self._estimates is None else self._estimates.stride
        return layout | {
            "kind": "layout",
            "step_s": layout.get("bin_s", 0.0) * stride,
            "column_s": None if self._neural is None else self._neural.column_s,
            "truth": self.truth,
        }

    def _status_message(self) -> dict[str, Any]:
        assert self.status is not None
        return self.status.model_dump(mode="json") | {"kind": "status", "now": time.time()}

    def _send(self, message: dict[str, Any] | bytes) -> None:
        ready = message if isinstance(message, bytes) else _text(message)
        for viewer in self._viewers:
            viewer.put(ready)

    async def _release(self) -> None:
        if self._estimates is not None:
            self._estimates.close()
        for feed in (self._neural, self._truth):
            if feed is not None:
                await feed.close()
        self._estimates = self._neural = self._truth = self._layout = self.status = None


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _arrays(
    records: npt.NDArray[np.void] | None,
    neural: tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]] | None,
    truth: tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]] | None,
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a frame, without those that are empty."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    if records is not None and len(records):
        arrays |= {"t": records["t_source"], "values": records["outputs"], "flags": records["flags"]}
    if neural is not None and len(neural[0]):
        arrays |= {"column_t": neural[0], "columns": neural[1]}
    if truth is not None and len(truth[0]):
        arrays |= {"truth_t": truth[0], "truth": truth[1]}
    return arrays
