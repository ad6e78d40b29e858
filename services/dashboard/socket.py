"""The websocket of a session page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from bmi_decoder.events import AnyEvent
from services.control.context import Control
from services.dashboard.live import Now, SessionLive, Viewer
from services.dashboard.streams import StreamWatch

_TRY_AGAIN_LATER = 1013
_SHOWN_EVENTS = 200


class LiveSessions:
    """The sessions that somebody looks at.

    Parameters
    ----------
    control_app : FastAPI
        Whose ``state.control`` is the running control plane.
    watch : StreamWatch
    """

    def __init__(self, control_app: FastAPI, watch: StreamWatch) -> None:
        self._app, self._watch = control_app, watch
        self._live: dict[str, SessionLive] = {}

    @property
    def control(self) -> Control:
        """The control plane."""
        control = self._app.state.control
        assert isinstance(control, Control)
        return control

    async def show(self, name: str, websocket: WebSocket) -> None:
        """Send to one page until it goes."""
        await websocket.accept()
        viewer = Viewer()
        live = self._live.setdefault(name, SessionLive(name, self.control, self._watch))
        live.join(viewer)
        events = asyncio.create_task(self._tell(name, viewer))
        sending = asyncio.create_task(_send(viewer, websocket))
        receiving = asyncio.create_task(_until_gone(websocket))
        try:
            await asyncio.wait([sending, receiving, events], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, receiving, events):
                task.cancel()
            await asyncio.wait([sending, receiving, events])
            if live.leave(viewer) and self._live.get(name) is live:
                del self._live[name]

    def now(self, name: str) -> Now | None:
        """What is known of a session that somebody looks at; None where that is nothing."""
        live = self._live.get(name)
        return None if live is None else live.now

    async def close(self) -> None:
        """Let go of all sessions."""
        for live in list(self._live.values()):
            await live.close()

    async def _tell(self, name: str, viewer: Viewer) -> None:
        log = self.control.events
        kept = log.kept()
        viewer.put(_events([event for event in kept if _concerns(event, name)][-_SHOWN_EVENTS:]))
        async for event in log.follow(kept[-1].id if kept else None):
            if _concerns(event, name):
                viewer.put(_events([event]))


def _concerns(event: AnyEvent, name: str) -> bool:
    return getattr(event, "session", None) == name


def _events(events: Sequence[AnyEvent]) -> str:
    return f'{{"kind":"events","events":[{",".join(event.model_dump_json() for event in events)}]}}'


async def _send(viewer: Viewer, websocket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while (message := await viewer.queue.get()) is not None:
            if isinstance(message, bytes):
                await websocket.send_bytes(message)
            else:
                await websocket.send_text(message)
        await websocket.close(_TRY_AGAIN_LATER)


async def _until_gone(websocket: WebSocket) -> None:
    """A page says nothing; what it sends is not read."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
