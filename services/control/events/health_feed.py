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
from services.keys import KeyFolder

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
    keys : KeyFolder
        For workers that publish encrypted.
    """

    def __init__(self, publish: Callable[[HealthEvent], None], keys: KeyFolder) -> None:
        self._publish, self._keys = publish, keys
        # Endpoint and server key of each session.
        self._endpoints: dict[str, tuple[str, str]] = {}
        # Kinds of which one was published a moment ago, with the newest that was not.
        self._held: dict[tuple[str, str], HealthEvent | None] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._context = zmq.asyncio.Context(io_threads=1)
        # One for each key that servers have, and one for those without: a socket shows the same keys to all.
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._listening: list[asyncio.Task[None]] = []

    def follow(self, session: str, endpoint: str, server_key: str = "") -> None:
        """Listen to a session's worker at `endpoint`, with the key that it has; empty where none publishes.

        Raises
        ------
        InputError
            If it is encrypted and we have no key.
        """
        former, wanted = self._endpoints.get(session), (endpoint, server_key)
        if former == wanted or (former is None and not endpoint):
            return
        socket = self._socket(server_key) if endpoint else None
        self._endpoints.pop(session, None)
        if former is not None and former not in self._endpoints.values():
            self._sockets[former[1]].disconnect(former[0])
        if socket is not None:
            self._endpoints[session] = wanted
            socket.connect(endpoint)

    def _socket(self, server_key: str) -> zmq.asyncio.Socket:
        if server_key not in self._sockets:
            socket = self._context.socket(zmq.SUB)
            socket.setsockopt(zmq.LINGER, 0)
            if server_key:
                pair = self._keys.service()
                socket.curve_serverkey = server_key.encode()
                socket.curve_publickey, socket.curve_secretkey = pair.public.encode(), pair.secret.encode()
            socket.subscribe(wire.HEALTH)
            self._sockets[server_key] = socket
            listening = asyncio.get_running_loop().create_task(self._listen(socket), name="health events")
            self._listening.append(listening)
        return self._sockets[server_key]

    def close(self) -> None:
        """Let go of all connections."""
        for listening in self._listening:
            listening.cancel()
        for timer in self._timers.values():
            timer.cancel()
        for socket in self._sockets.values():
            socket.close()
        self._context.term()

    async def _listen(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            frame = await socket.recv()
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
