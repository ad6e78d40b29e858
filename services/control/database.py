"""The database under the store: one file, one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session, sessionmaker

from bmi_decoder.errors import BmiError
from services.control.tables import Base

_SCHEMA_VERSION = 3

_REVISIONS_FROM_1 = """
    INSERT INTO revisions (session, revision, decoder, output_filters, at, why, state, reason)
    SELECT name, revision, decoder, json_extract(settings, '$.output_filters'), created_at, 'created', 'used', ''
    FROM sessions
"""


def now() -> str:
    """The time of day, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Database:
    """Connections to the database of one data directory, for use from any thread.

    The write-ahead log is synchronised at every commit, so whatever a request has acknowledged is on disk.

    Parameters
    ----------
    path : Path
        The SQLite file; made if missing.

    Raises
    ------
    BmiError
        If the file is not ours, damaged, or from a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}")
        self._open = sessionmaker(self._engine, expire_on_commit=False)
        self._writing = threading.Lock()
        event.listen(self._engine, "connect", _configure)
        try:
            with self._engine.begin() as connection:
                version = connection.execute(text("PRAGMA user_version")).scalar_one()
                if version > _SCHEMA_VERSION:
                    raise BmiError(
                        f"{path} was written by a newer version (schema {version}, this version reads up to "
                        f"{_SCHEMA_VERSION}): update bmi-decoder, or give another directory with --data-dir"
                    )
                Base.metadata.create_all(connection)
                if version == 1:
                    connection.execute(text(_REVISIONS_FROM_1))
                connection.execute(text(f"PRAGMA user_version = {_SCHEMA_VERSION}"))
        except DatabaseError as error:
            self.close()
            raise BmiError(f"cannot use {path} as database: {error.orig}; restore it or move it away") from None
        except BmiError:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to look things up in; what it gives may be used behind it."""
        with self._open() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are on disk when the block has ended, or undone if it raised."""
        with self._writing, self._open.begin() as session:
            yield session


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
