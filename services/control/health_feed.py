"""Listens to the health events that workers publish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio

from bmi_decoder import wire
from bmi_decoder.errors import InputError
from bmi_decoder.events import HealthEvent

QUIET_S = 1.0
"""Of events of one kind from one session, one is published in this time: a bad stream has hundreds in a second."""

_log = logging.getLogger(__name__)


class HealthFeed:
    """Subscribes to the health events of every running worker.

    Made and used in one event loop.

    Parameters
    ----------
    publish : callable
        Takes each `HealthEvent`.
    """

    def __init__(self, publish: Callable[[HealthEvent], None]) -> None:
        self._publish = publish
        self._endpoints: dict[str, str] = {}
        # Kinds of which one was published a moment ago, with the newest that was not.
        self._held: dict[tuple[str, str], HealthEvent | None] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._context = zmq.asyncio.Context(io_threads=1)
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.subscribe(wire.HEALTH)
        self._listening = asyncio.get_running_loop().create_task(self._listen(), name="health events")

    def follow(self, session: str, endpoint: str | None) -> None:
        """Listen to a session's worker at `endpoint`; None or empty where none publishes."""
        former = self._endpoints.pop(session, None)
        if endpoint:
            self._endpoints[session] = endpoint
        if former == endpoint:
            return
        if former is not None and former not in self._endpoints.values():
            self._socket.disconnect(former)
        if endpoint:
            self._socket.connect(endpoint)

    def close(self) -> None:
        """Let go of all connections."""
        self._listening.cancel()
        for timer in self._timers.values():
            timer.cancel()
        self._socket.close()
        self._context.term()

    async def _listen(self) -> None:
        while True:
            frame = await self._socket.recv()
            try:
                message = wire.parse(frame)
            except InputError as error:
                _log.warning("a health event cannot be understood: %s", error)
                continue
            if isinstance(message, wire.Health):
                self._take(message.event)

    def _take(self, said: dict[str, Any]) -> None:
        details = {key: value for key, value in said.items() if key not in ("event", "session")}
        event = HealthEvent(session=str(said.get("session")), event=str(said.get("event")), details=details)
        key = event.session, event.event
        if key in self._held:
            held = self._held[key]
            repeated = 0 if held is None else held.repeated + 1
            self._held[key] = event.model_copy(update={"repeated": repeated})
        else:
            self._tell(key, event)

    def _tell(self, key: tuple[str, str], event: HealthEvent) -> None:
        self._publish(event)
        self._held[key] = None
        self._timers[key] = asyncio.get_running_loop().call_later(QUIET_S, self._quiet_is_over, key)

    def _quiet_is_over(self, key: tuple[str, str]) -> None:
        held = self._held.pop(key)
        del self._timers[key]
        if held is not None:
            self._tell(key, held)
