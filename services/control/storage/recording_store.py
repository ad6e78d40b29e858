"""Recordings in the database."""

from __future__ import annotations

from sqlalchemy import select

from services.control.rest.paging import Page
from services.control.storage.database import Database
from services.control.storage.tables import RecordingRow


class RecordingStore:
    """Stored recordings; methods may be called from any thread.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def page(self, page: Page) -> list[RecordingRow]:
        """One page of all recordings, oldest first, and one recording more."""
        with self._read() as session:
            return page.of(session, select(RecordingRow), RecordingRow.uploaded_at, RecordingRow.id)

    def newest(self, n: int) -> list[RecordingRow]:
        """The last `n` recordings, newest first."""
        with self._read() as session:
            key = (RecordingRow.uploaded_at, RecordingRow.id)
            rows = Page(n).of(session, select(RecordingRow), *key, newest_first=True)
            return rows[:n]

    def recording(self, recording_id: str) -> RecordingRow | None:
        """One recording, None if there is none of that id."""
        with self._read() as session:
            return session.get(RecordingRow, recording_id)

    def add(self, row: RecordingRow) -> RecordingRow:
        """Add a recording; the one that is there already if its content is the same."""
        with self._write() as session:
            known = session.get(RecordingRow, row.id)
            if known is None:
                session.add(row)
            return known or row

    def remove(self, recording_id: str) -> None:
        """Remove a recording."""
        with self._write() as session:
            row = session.get(RecordingRow, recording_id)
            if row is not None:
                session.delete(row)
