"""The database under the store: SQLite in the data directory, or PostgreSQL by URL; one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session, sessionmaker

from bmi_decoder.errors import BmiError, InputError
from services.control.migrate import migrate

_LOCK_KEY = 0x626D692D64656364
"""Of the advisory lock that keeps a second control plane off a PostgreSQL database."""


class Database:
    """Connections to a database, for use from any thread. It is brought to the present form when it is opened.

    Whatever is committed is on disk: SQLite's write-ahead log is synchronised at every commit, as PostgreSQL's is
    unless its configuration says otherwise.

    Parameters
    ----------
    url : str
        ``sqlite:////path/to/file``, made if missing, or ``postgresql://user:password@host/name``.

    Raises
    ------
    InputError
        If the URL is of another kind.
    BmiError
        If the database cannot be reached, is not ours, damaged, from a newer version, or used by another control
        plane.
    """

    def __init__(self, url: str) -> None:
        self._engine, self._name = _engine(url)
        self._open = sessionmaker(self._engine, expire_on_commit=False)
        self._writing = threading.Lock()
        self._holding: Connection | None = None
        try:
            if self._engine.dialect.name == "postgresql":
                self._holding = self._hold()
            with self._engine.begin() as connection:
                migrate(connection, self._name)
        except DatabaseError as error:
            self.close()
            reason = str(error.orig).strip().replace("\n", " ")
            if self._engine.dialect.name == "postgresql":
                remedy = "see that the server runs, and that the URL is right"
            else:
                remedy = "restore it or move it away"
            raise BmiError(f"cannot use {self._name} as database: {reason}; {remedy}") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        if self._holding is not None:
            self._holding.close()
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

    def _hold(self) -> Connection:
        """Keep the database for us; the server lets go of it when the connection ends, however it ends."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}).scalar_one():
            connection.close()
            raise BmiError(
                f"{self._name} is in use by another bmi-decoder serve; stop that one, or give another database"
            )
        return connection


def _engine(given: str) -> tuple[Engine, str]:
    try:
        url = make_url(given)
    except ArgumentError:
        url = URL.create("")
    if url.drivername == "sqlite":
        engine = create_engine(url)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine, url.database or given
    if url.drivername != "postgresql":
        raise InputError(
            "a database is sqlite:////path/to/file or postgresql://user:password@host/name, got a URL of "
            f"{url.drivername or 'no known kind'!r}"
        )
    try:
        engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError:
        raise BmiError("PostgreSQL needs its driver: pip install 'bmi-decoder[postgresql]'") from None
    return engine, url.render_as_string(hide_password=True)


def _configure_sqlite(connection: Any, _record: object) -> None:
    # Otherwise Python's driver begins transactions by itself, and not where tables are made.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
