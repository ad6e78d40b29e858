"""Swaps what a running session decodes with, and keeps the store true to what its worker does.

A revision is on record before its worker is asked, and becomes the session's when the worker has switched. What
cannot be known from answers, because a worker rolled back by itself or swapped while no control plane listened, is
read from its flight recorder, which says what it publishes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from bmi_decoder.events import SwapEvent, SwapOutcome
from services.control.events.log import EventLog
from services.control.rest.problem import Problem, bad_value
from services.control.sessions.command_link import NoAnswerError
from services.control.sessions.supervised import Supervised
from services.control.sessions.worker_link import ask_state, ask_swap
from services.control.storage.places import DataDirectory
from services.control.storage.store import Store
from services.control.storage.stored_session import StoredSession
from services.control.storage.tables import RevisionRow, RevisionState
from services.worker.command import SwapAnswer, SwapCommand

ON_DEMAND = "rolled back on demand"
_UNKNOWN = "its worker did not take it, and could not say why"
_STATUS = {"busy": 409, "stalled": 504, "fault": 500}
_log = logging.getLogger(__name__)


class Swapper:
    """Hot swaps of running sessions. All methods run in one event loop.

    Parameters
    ----------
    places : DataDirectory
    store : Store
    events : EventLog
        Is told of each swap.
    """

    def __init__(self, places: DataDirectory, store: Store, events: EventLog) -> None:
        self._places, self._store, self._events = places, store, events

    async def swap(
        self,
        name: str,
        session: Supervised,
        target: Callable[[StoredSession], RevisionRow | None],
        left: RevisionState = "used",
    ) -> bool:
        """Swap, and wait until that has happened or failed; False if no worker runs.

        Parameters
        ----------
        name : str
        session : Supervised
        target : callable
            From the session's row, the revision to swap to; None if there is nothing to do. May block, and raise.
        left : {"used", "rolled_back"}
            What becomes of the revision that is left.

        Raises
        ------
        KeyError
            If there is no such session.
        Problem
            409 while another swap is under way, 422 if the decoder does not fit the running stream, 503 if the
            worker ended meanwhile, 504 if the stream brought nothing to warm up with.
        """
        async with session.lock:
            worker = session.worker
            if worker is None or not session.alive:
                return False
            if session.swapping_to is not None:
                raise _busy(name, session.swapping_to)
            await self.reconcile(name, session)
            row = self._store.session(name)
            if row is None:
                raise KeyError(name)
            wanted = await asyncio.to_thread(target, row)
            if wanted is None:
                return True
            session.swapping_to = wanted.revision
        former = row.revision
        self._events.publish(SwapEvent(session=name, outcome="started", revision=wanted.revision, former=former))
        try:
            answer = await self._ask(session, wanted)
            async with session.lock:
                if answer.outcome == "switched" and session.worker is worker:
                    reason = ON_DEMAND if left == "rolled_back" else ""
                    await asyncio.to_thread(self._store.adopt, name, wanted.revision, left, reason)
                    session.revision = wanted.revision
                else:
                    await asyncio.to_thread(self._store.fail_trials, name, answer.reason, wanted.revision)
        finally:
            session.swapping_to = None
        if answer.outcome == "switched" and session.revision == wanted.revision:
            outcome: SwapOutcome = "rolled_back" if left == "rolled_back" else "switched"
            self._events.publish(SwapEvent(session=name, outcome=outcome, revision=wanted.revision, former=former))
            return True
        self._events.publish(
            SwapEvent(session=name, outcome="failed", revision=wanted.revision, former=former, reason=answer.reason)
        )
        raise _failed(name, wanted, answer, former)

    async def reconcile(self, name: str, session: Supervised) -> None:
        """Make the store say what the worker does; call it with the session's lock held."""
        published = session.published_revision()
        if session.swapping_to is not None or published is None:
            return
        if published != session.revision:
            await self._adopt(name, session, published)
        if session.trials_left:
            await self._settle_trials(name, session)

    async def _adopt(self, name: str, session: Supervised, published: int) -> None:
        known = await asyncio.to_thread(self._store.revision, name, published)
        current = await asyncio.to_thread(self._store.revision, name, session.revision)
        # Otherwise the store is older than the worker, restored from a copy perhaps: then what it wants holds.
        if known is not None:
            back = current is not None and current.parent == published and known.state != "trial"
            reason = await self._last_failure(session, session.revision) if back else ""
            left: RevisionState = "rolled_back" if back else "used"
            await asyncio.to_thread(self._store.adopt, name, published, left, reason)
            _log.warning(
                "session %s: its worker publishes revision %d %s", name, published, reason, extra={"session": name}
            )
            outcome: SwapOutcome = "rolled_back" if back else "switched"
            self._events.publish(
                SwapEvent(session=name, outcome=outcome, revision=published, former=session.revision, reason=reason)
            )
        session.revision = published

    async def _settle_trials(self, name: str, session: Supervised) -> None:
        """Find out about swaps that an earlier control plane has asked for."""
        try:
            state = await ask_state(session.files.commands)
        except NoAnswerError:
            return
        if state.swapping_to is None:
            reason = state.last_failure[1] if state.last_failure is not None else _UNKNOWN
            # It may have switched just before it was asked.
            if session.published_revision() == session.revision:
                await asyncio.to_thread(self._store.fail_trials, name, reason)
                session.trials_left = False

    async def _last_failure(self, session: Supervised, revision: int) -> str:
        try:
            failure = (await ask_state(session.files.commands)).last_failure
        except NoAnswerError:
            failure = None
        return failure[1] if failure is not None and failure[0] == revision else "rolled back by its worker"

    async def _ask(self, session: Supervised, wanted: RevisionRow) -> SwapAnswer:
        command = SwapCommand(
            revision=wanted.revision,
            bundle=str(self._places.decoder(wanted.decoder)),
            output_filters=wanted.filters,
            masked_channels=tuple(wanted.masked_channels),
        )
        try:
            return await ask_swap(session.files.commands, command)
        except NoAnswerError as error:
            return SwapAnswer(outcome="gone", reason=str(error))


def _busy(name: str, revision: int) -> Problem:
    return Problem(
        409, f"session {name!r} is swapping to revision {revision} already; wait for that", swapping_to=revision
    )


def _failed(name: str, wanted: RevisionRow, answer: SwapAnswer, kept: int) -> Problem:
    what = f"session {name!r} keeps revision {kept}: "
    if answer.outcome == "unfit":
        return bad_value("decoder", f"{what}{answer.reason}", wanted.decoder)
    if answer.outcome == "switched":
        answer = SwapAnswer(outcome="gone", reason="its worker ended right behind the switch")
    return Problem(_STATUS.get(answer.outcome, 503), f"{what}{answer.reason}", revision=kept)
