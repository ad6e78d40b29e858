"""Keeps the workers of all sessions as the store says they should be.

The store holds what is wanted; this module makes it so: it starts workers, watches them, starts those again
that died, and finds those again that outlived an earlier control plane. Workers are processes of their own
that decode on without us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from bmi_decoder.config import SessionSettings, WorkerSettings
from bmi_decoder.errors import BmiError
from services.control.access.encryption import prepare_keys
from services.control.events.log import EventLog
from services.control.sessions.supervised import Backoff, Supervised, final_report, wait_until, worker_is_up
from services.control.sessions.swapping import ON_DEMAND, Swapper
from services.control.sessions.worker_process import WorkerProcess
from services.control.storage.places import DataDirectory
from services.control.storage.store import Store
from services.control.storage.stored_session import StoredSession
from services.control.storage.tables import RevisionRow
from services.keys import KeyFolder

_WATCH_S = 0.1
_STOP_GRACE_S = 5.0
_EXIT_GRACE_S = 5.0
_FAULT_PAUSE_S = 1.0
_log = logging.getLogger(__name__)


class Supervisor:
    """Starts, watches and stops workers. All methods run in one event loop.

    Parameters
    ----------
    places : DataDirectory
    store : Store
    events : EventLog
        Is told what happens.
    start_wait_s : float
        Longest time that `start` waits for a worker to come up.
    """

    def __init__(self, places: DataDirectory, store: Store, events: EventLog, start_wait_s: float) -> None:
        self._places = places
        self._store = store
        self._start_wait_s = start_wait_s
        self.swapper = Swapper(places, store, events)
        self._sessions: dict[str, Supervised] = {}
        self._closing = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    def session(self, name: str) -> Supervised:
        """The supervised side of a session."""
        if name not in self._sessions:
            self._sessions[name] = Supervised(self._places.session(name))
        return self._sessions[name]

    def knows(self, name: str) -> bool:
        """Whether it has a supervised side of that name."""
        return name in self._sessions

    @property
    def sessions(self) -> dict[str, Supervised]:
        """The supervised side of every session by name."""
        return dict(self._sessions)

    async def open(self) -> None:
        """Take over what an earlier control plane left: adopt live workers, start those that are missing."""
        for row in self._store.sessions():
            session = self.session(row.name)
            async with session.lock:
                session.worker = await asyncio.to_thread(WorkerProcess.find, session.files)
                if session.worker is not None:
                    _log.info(
                        "session %s: found its worker running, process %d",
                        row.name,
                        session.worker.pid,
                        extra={"session": row.name},
                    )
                    session.backoff.started()
                    session.revision, session.trials_left = row.revision, True
                    if not row.wanted:
                        await self._stop(row.name, session)
                else:
                    await self._recover(row, session)
        self._watching = asyncio.create_task(self._watch(), name="supervisor")

    async def close(self) -> None:
        """Stop all workers.

        The store still says which should run, so the next control plane starts those again.
        """
        self._closing.set()
        if self._watching is not None:
            await self._watching
        closing = [self._close(name, session) for name, session in self._sessions.items()]
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(error, BaseException):
                _log.error("a session could not be closed properly", exc_info=error)

    async def start(self, name: str) -> None:
        """Start a session that is in the store, and wait a while for its worker to come up.

        One whose worker runs is left alone.

        Raises
        ------
        KeyError
            If the session has been removed.
        """
        await self.settle(name)
        session = self.session(name)
        async with session.lock:
            if session.alive:
                await self._keep(name, wanted=True, failed=False)
            else:
                row = await self._keep(name, wanted=True, failed=False, restarts=0, last=None)
                session.backoff = Backoff()
                await self._spawn(row, session)
        await wait_until(lambda: worker_is_up(session), self._start_wait_s)

    async def settle(self, name: str) -> None:
        """Bring what is known of a session up to date: wait for a worker that is on its way out, and act on it."""
        session = self.session(name)
        if session.ending and not await wait_until(lambda: not session.alive, _EXIT_GRACE_S):
            await session.end(_STOP_GRACE_S)
        await self._look(name, session)

    async def stop(self, name: str) -> None:
        """Stop a session; one that does not run stays as it is."""
        session = self.session(name)
        async with session.lock:
            await self._keep(name, wanted=False, failed=False)
            session.retry_at = None
            session.message = ""
            await self._stop(name, session)

    async def change(self, name: str, settings: Callable[[StoredSession], SessionSettings], why: str) -> bool:
        """Change a session in the store; False, without a change, while it runs or should run.

        Parameters
        ----------
        name : str
        settings : callable
            Gives the new settings from the row as it is; may block.
        why : str
            For the history of revisions.
        """
        await self.settle(name)
        session = self.session(name)
        async with session.lock:
            if self._busy(name, session):
                return False
            row = self._row(name)
            wanted = await asyncio.to_thread(settings, row)
            await asyncio.to_thread(self._store.replace_settings, name, wanted, why)
            return True

    async def return_to(self, name: str, target: Callable[[StoredSession], RevisionRow]) -> bool:
        """Make an earlier revision a session's again; False, without a change, while it runs or should run.

        Parameters
        ----------
        name : str
        target : callable
            Gives the revision from the row as it is; may block.
        """
        await self.settle(name)
        session = self.session(name)
        async with session.lock:
            if self._busy(name, session):
                return False
            wanted = await asyncio.to_thread(target, self._row(name))
            await asyncio.to_thread(self._store.adopt, name, wanted.revision, "rolled_back", ON_DEMAND)
            await asyncio.to_thread(self._store.let_go, name)
            return True

    async def remove(self, name: str, expected: Callable[[StoredSession], None]) -> bool:
        """Remove a session and its files; False, with nothing removed, while it runs or should run.

        Parameters
        ----------
        name : str
        expected : callable
            Raises if the row is not what is meant to be removed.
        """
        await self.settle(name)
        session = self.session(name)
        async with session.lock:
            expected(self._row(name))
            if self._busy(name, session):
                return False
            await asyncio.to_thread(self._store.remove_session, name)
            await asyncio.to_thread(session.files.remove)
            self._sessions.pop(name, None)
            return True

    def _busy(self, name: str, session: Supervised) -> bool:
        row = self._row(name)
        return session.alive or (row.wanted and not row.failed)

    async def _watch(self) -> None:
        while not self._closing.is_set():
            for name, session in list(self._sessions.items()):
                if session.lock.locked():
                    continue
                try:
                    await self._look(name, session)
                except Exception:
                    _log.exception("session %s: cannot be supervised, trying again", name, extra={"session": name})
                    await asyncio.sleep(_FAULT_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _WATCH_S)

    async def _look(self, name: str, session: Supervised) -> None:
        """Act on a worker that has ended or has changed its revision, and on a retry that is due."""
        if session.worker is not None and not session.alive:
            async with session.lock:
                if session.worker is not None and not session.alive:
                    await self._after_death(name, session)
        elif session.retry_at is not None and time.monotonic() >= session.retry_at:
            async with session.lock:
                if session.retry_at is not None and not session.alive:
                    row = self._row(name)
                    await self._spawn(await self._keep(name, restarts=row.restarts + 1), session)
        elif session.trials_left or session.published_revision() not in (None, session.revision):
            async with session.lock:
                await self.swapper.reconcile(name, session)

    async def _after_death(self, name: str, session: Supervised) -> None:
        row = await self._clear(name, session)
        message = (row.last or {}).get("message", "")
        if row.failed:
            _log.warning("session %s failed: %s", name, message, extra={"session": name})
        elif row.wanted:
            self._retry(name, session, message or "worker stopped without being asked to")

    async def _recover(self, row: StoredSession, session: Supervised) -> None:
        """Tidy up after a worker that ended while nobody watched, and start the one that is missing."""
        if session.files.flight.exists():
            row = await self._clear(row.name, session)
        if row.wanted and not row.failed:
            await self._spawn(row, session)

    async def _spawn(self, row: StoredSession, session: Supervised) -> None:
        session.close_report()
        session.retry_at = None
        settings = WorkerSettings(
            session=row.settings,
            bundle=str(self._places.decoder(row.decoder)),
            flight=str(session.files.flight),
            revision=row.revision,
            commands=str(session.files.commands) if session.files.takes_commands else None,
            keys=str(self._places.keys) if row.settings.encrypted else None,
        )
        session.revision, session.trials_left = row.revision, False
        try:
            await asyncio.to_thread(prepare_keys, KeyFolder(self._places.keys), settings.session)
            session.worker = await asyncio.to_thread(WorkerProcess.spawn, session.files, settings)
        except (OSError, BmiError) as error:
            self._retry(row.name, session, f"cannot start a worker: {error}")
            return
        session.message = ""
        session.backoff.started()
        _log.info("session %s: started worker, process %d", row.name, session.worker.pid, extra={"session": row.name})

    def _retry(self, name: str, session: Supervised, why: str) -> None:
        delay = session.backoff.next_delay()
        session.retry_at = time.monotonic() + delay
        session.message = f"{why}; starting it again in {delay:g} s"
        _log.warning("session %s: %s", name, session.message, extra={"session": name})

    async def _stop(self, name: str, session: Supervised) -> None:
        if session.worker is not None:
            await session.end(_STOP_GRACE_S)
            await self._clear(name, session)

    async def _close(self, name: str, session: Supervised) -> None:
        async with session.lock:
            session.retry_at = None
            await self._stop(name, session)
            session.close_report()

    async def _clear(self, name: str, session: Supervised) -> StoredSession:
        """Keep what a worker that has ended has to say, and tidy its flight recorder away."""
        last = final_report(session)
        session.close_report()
        session.worker = None
        files = session.files

        def tidy() -> None:
            files.pid.unlink(missing_ok=True)
            files.commands.unlink(missing_ok=True)
            if last["state"] == "died":
                files.keep_crashed_flight()
            else:
                files.flight.unlink(missing_ok=True)

        await asyncio.to_thread(tidy)
        await asyncio.to_thread(self._settle_revision, name, last.get("revision"))
        row = self._row(name)
        return await self._keep(name, last=last, failed=row.wanted and last["state"] == "failed")

    def _settle_revision(self, name: str, published: int | None) -> None:
        """What was acknowledged holds; but a revision that the worker itself has rolled back is not tried again."""
        self._store.fail_trials(name, "its worker ended before it had switched")
        row = self._store.session(name)
        current = None if row is None else self._store.revision(name, row.revision)
        if current is not None and published is not None and current.parent == published:
            self._store.adopt(name, published, "rolled_back", "rolled back by its worker")
        self._store.let_go(name)

    def _row(self, name: str) -> StoredSession:
        row = self._store.session(name)
        if row is None:
            raise KeyError(name)
        return row

    async def _keep(self, name: str, **values: Any) -> StoredSession:
        change: Callable[[], StoredSession] = lambda: self._store.change_session(name, **values)  # noqa: E731
        row = await asyncio.to_thread(change)
        self.session(name).kept += 1
        return row
