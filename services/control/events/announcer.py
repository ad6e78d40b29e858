"""Tells the event log what sessions do, by looking at them again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bmi_decoder.errors import InputError
from bmi_decoder.events import HealthEvent, StateEvent
from services.control.events.health_feed import HealthFeed
from services.control.events.log import EventLog
from services.control.sessions.status import session_state
from services.control.sessions.supervised import Supervised
from services.control.sessions.supervisor import Supervisor
from services.control.storage.store import Store
from services.keys import KeyFolder

_LOOK_S = 0.1
_FAULT_PAUSE_S = 1.0
_log = logging.getLogger(__name__)


@dataclass
class _Told:
    """What was seen of a session when it was last looked at, and what was last told."""

    seen: tuple[object, ...] | None = None
    event: StateEvent | None = None


class Announcer:
    """Publishes the states of sessions as they change, and the health events of their workers.

    Parameters
    ----------
    store : Store
    supervisor : Supervisor
    events : EventLog
    keys : KeyFolder
        To listen to workers that publish encrypted.
    """

    def __init__(self, store: Store, supervisor: Supervisor, events: EventLog, keys: KeyFolder) -> None:
        self._store, self._supervisor, self._events, self._keys = store, supervisor, events, keys
        self._told: dict[str, _Told] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Announce for the length of an ``async with`` block."""
        feed = HealthFeed(self._health, self._keys)
        watching = asyncio.create_task(self._watch(feed), name="announcer")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            feed.close()

    async def _watch(self, feed: HealthFeed) -> None:
        while True:
            sessions = self._supervisor.sessions
            for name in self._told.keys() - sessions.keys():
                del self._told[name]
                feed.follow(name, "")
            try:
                for name, session in sessions.items():
                    await self._look(name, session, feed)
            except Exception:
                _log.exception("cannot look at sessions, trying again")
                await asyncio.sleep(_FAULT_PAUSE_S)
            await asyncio.sleep(_LOOK_S)

    async def _look(self, name: str, session: Supervised, feed: HealthFeed) -> None:
        """Look at a session, and tell what has changed; the store is asked only if something may have."""
        told = self._told.setdefault(name, _Told())
        if session.lock.locked() or self._seen(session) == told.seen:
            return
        # Under the lock the store and the worker tell of the same moment.
        async with session.lock:
            row = self._store.session(name)
            live, seen = session.live(), self._seen(session)
            found = None if row is None else session_state(row, session, live)
        said = None if live is None else live.status
        try:
            feed.follow(name, *(("", "") if said is None else (said.endpoint, said.server_key)))
        except InputError as error:
            _log.error("session %s: its health events cannot be received: %s", name, error, extra={"session": name})
        if row is None or found is None:
            return
        told.seen = seen
        state, message = found
        event = StateEvent(
            session=name,
            state=state,
            message=message,
            revision=row.revision if said is None else said.revision,
            endpoint=row.settings.endpoint if said is None or not said.endpoint else said.endpoint,
            restarts=row.restarts,
        )
        # The message alone is no news: it counts the seconds of a search.
        if told.event is None or event != told.event.model_copy(update={"message": message}):
            told.event = event
            self._events.publish(event)

    def _seen(self, session: Supervised) -> tuple[object, ...]:
        """What changes whenever there may be something to tell."""
        live = session.live()
        said = None if live is None else live.status
        shown = None if said is None else (said.state, said.revision, said.endpoint)
        return session.kept, session.retry_at, session.worker is None, live is None, shown

    def _health(self, event: HealthEvent) -> None:
        if event.session in self._told:
            self._events.publish(event)
