"""What the pages of one session see: read once, packed once, sent to each of them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bmi_decoder.recorder_models import RecorderStatus
from bmi_decoder.rest_models import SessionStatus
from services.control.context import Control
from services.control.rest.problem import Problem
from services.control.sessions.routes import current_status
from services.control.storage.tables import DecoderRow
from services.dashboard.feeds import SessionFeeds
from services.dashboard.frame import pack_frame
from services.dashboard.layout import layout_of
from services.dashboard.streams import StreamWatch

_TICK_S, _LOOK_S, _FIGURES_S = 0.045, 0.5, 2.0
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


@dataclass(frozen=True)
class Now:
    """What is known of a session, half a second ago at most.

    Attributes
    ----------
    decoders : sequence of DecoderRow
        All that are stored.
    truth : str or None
        Name of the stream of true movement.
    """

    status: SessionStatus
    decoders: Sequence[DecoderRow]
    recorder: RecorderStatus | None
    truth: str | None


class SessionLive:
    """Follows one session while it has viewers. Used in one event loop.

    Parameters
    ----------
    name : str
    control : Control
    watch : StreamWatch

    Attributes
    ----------
    now : Now or None
        None before the first look, and where there is no such session.
    """

    def __init__(self, name: str, control: Control, watch: StreamWatch) -> None:
        self._name, self._control = name, control
        self._feeds = SessionFeeds(watch)
        self._viewers: set[Viewer] = set()
        self._running: asyncio.Task[None] | None = None
        self.now: Now | None = None

    def join(self, viewer: Viewer) -> None:
        """Begin to send to a page, with what there is already."""
        self._viewers.add(viewer)
        if self.now is not None:
            viewer.put(_text(self._about()))
            viewer.put(_text(_told(self.now.status)))
        if arrays := self._feeds.history():
            viewer.put(pack_frame({"kind": "samples"}, arrays))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run(), name=f"live {self._name}")

    def leave(self, viewer: Viewer) -> bool:
        """Send no more to a page; True if it was the last one, and nobody may join any more."""
        self._viewers.discard(viewer)
        if not self._viewers and self._running is not None:
            self._running.cancel()
        return not self._viewers

    async def close(self) -> None:
        """Let go of everything."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        # Side by side: a status may have to wait for a swap, and the cursor moves on meanwhile.
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._every(_LOOK_S, self._look))
                group.create_task(self._every(_TICK_S, self._send_samples))
                group.create_task(self._every(_FIGURES_S, self._send_figures))
        finally:
            self.now = None
            await self._feeds.close()

    async def _every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again."""
        while True:
            started = time.monotonic()
            try:
                await do()
            except Exception:
                _log.exception("session %s cannot be shown, trying again", self._name)
                await asyncio.sleep(_FAULT_PAUSE_S)
            await asyncio.sleep(max(0.0, started + seconds - time.monotonic()))

    async def _look(self) -> None:
        """Status, and whether worker, streams and layout are still the same."""
        control = self._control
        try:
            status = await current_status(control, self._name)
        except Problem as problem:
            self.now = None
            self._send(_text({"kind": "gone", "detail": problem.detail}))
            return
        decoders = await asyncio.to_thread(control.store.decoders)
        changed = False
        for row in decoders:
            if row.id == status.decoder:
                flight = control.supervisor.session(self._name).files.flight
                changed = await self._feeds.follow(status, layout_of(status, row, self._feeds.speed), flight)
        self.now = Now(status, decoders, await control.recorders.status(self._name), self._feeds.truth)
        if changed:
            self._send(_text(self._about()))
        self._send(_text(_told(status)))

    async def _send_samples(self) -> None:
        if arrays := self._feeds.new():
            self._send(pack_frame({"kind": "samples"}, arrays))

    async def _send_figures(self) -> None:
        self._send(_text({"kind": "figures", **self._feeds.figures()}))

    def _about(self) -> dict[str, Any]:
        return self._feeds.about() | {"kind": "layout"}

    def _send(self, ready: str | bytes) -> None:
        for viewer in self._viewers:
            viewer.put(ready)


def _told(status: SessionStatus) -> dict[str, Any]:
    return status.model_dump(mode="json") | {"kind": "status", "now": time.time()}


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
