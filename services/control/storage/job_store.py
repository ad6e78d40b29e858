"""Jobs in the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import exists, func, select

from services.control.rest.paging import Page
from services.control.storage.database import Database
from services.control.storage.tables import JobRow


class JobStore:
    """Jobs, waiting, running and ended; methods may be called from any thread.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def page(self, page: Page) -> list[JobRow]:
        """One page of all jobs, newest first, and one job more."""
        with self._read() as session:
            return page.of(session, select(JobRow), JobRow.created_at, JobRow.id, newest_first=True)

    def job(self, job_id: str) -> JobRow | None:
        """One job, None if there is none of that id."""
        with self._read() as session:
            return session.get(JobRow, job_id)

    def in_state(self, *states: str) -> list[JobRow]:
        """All jobs in one of these states, oldest first."""
        with self._read() as session:
            query = select(JobRow).where(JobRow.state.in_(states)).order_by(JobRow.created_at, JobRow.id)
            return list(session.scalars(query))

    def count(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._read() as session:
            counted = session.execute(select(JobRow.state, func.count()).group_by(JobRow.state))
            return {state: number for state, number in counted}

    def trained_on(self, recording_id: str) -> bool:
        """Whether a job trains on a recording, or has made a decoder of it that was not discarded."""
        using = (
            JobRow.state.in_(("queued", "running", "done")),
            JobRow.request["recording"].as_string() == recording_id,
            JobRow.result["discarded"].as_string().is_(None),
        )
        with self._read() as session:
            return bool(session.scalar(select(exists().where(*using))))

    def add(self, row: JobRow) -> None:
        """Add a job."""
        with self._write() as session:
            session.add(row)

    def change(self, job_id: str, where: Collection[str], **values: Any) -> JobRow | None:
        """Set columns of a job; None, without a change, if its state is not one of `where`."""
        with self._write() as session:
            row = session.get_one(JobRow, job_id)
            if row.state not in where:
                return None
            for column, value in values.items():
                setattr(row, column, value)
            return row
