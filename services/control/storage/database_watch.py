"""Sees that the database is still held by this control plane alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from sqlalchemy.exc import OperationalError

from services.control.storage.database import Database, DatabaseTakenError
from services.control.storage.store import Store

_LOOK_S = 5.0
_log = logging.getLogger(__name__)


class DatabaseWatch:
    """Looks at the hold on the database again and again.

    Parameters
    ----------
    database : Database
    store : Store
        Is loaded anew where the hold was lost for a while.

    Attributes
    ----------
    problem : str
        Why nothing can be changed now; empty when all is well.
    """

    def __init__(self, database: Database, store: Store) -> None:
        self._database, self._store = database, store
        self._times_held: int | None = None
        self.problem = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for the length of an ``async with`` block."""
        looking = asyncio.create_task(self._look(), name="database watch")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look(self) -> None:
        while True:
            problem = await asyncio.to_thread(self.check)
            if problem and problem != self.problem:
                _log.error("%s", problem)
            self.problem = problem
            await asyncio.sleep(_LOOK_S)

    def check(self) -> str:
        """Look once; what is wrong, or nothing."""
        try:
            times_held = self._database.hold()
            if self._times_held not in (None, times_held):
                self._store.reload()
        except DatabaseTakenError as error:
            return str(error)
        except OperationalError as error:
            return f"the database does not answer: {error.orig}"
        self._times_held = times_held
        return ""
