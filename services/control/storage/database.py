"""The database under the store: SQLite in the data directory, or PostgreSQL by URL; one writer at a time."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from bmi_decoder.errors import BmiError, InputError
from services.control.storage.migrate import migrate

_LOCK_KEY = 0x626D692D64656364
"""Of the advisory lock that keeps a second control plane off a PostgreSQL database."""

_WAIT_S = 10
_log = logging.getLogger(__name__)


class DatabaseTakenError(BmiError):
    """Another control plane uses the database."""


class Database:
    """Connections to a database, for use from any thread. It is brought to the present form when it is opened.

    Whatever is committed is on disk: SQLite's write-ahead log is synchronised at every commit, as PostgreSQL's is
    unless its configuration says otherwise. In PostgreSQL all changes are made over the one connection that holds the
    database for us: where that is lost, none can be made until it is held again.

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
        self._times_held = 0
        try:
            self._changes()
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
            # Ending the connection would do, when the server gets to it: the next control plane may come sooner.
            with contextlib.suppress(DatabaseError):
                self._holding.execute(text("SELECT pg_advisory_unlock_all()"))
            self._holding.close()
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to look things up in; what it gives may be used behind it."""
        with self._open() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are on disk when the block has ended, or undone if it raised.

        Raises
        ------
        DatabaseTakenError
            If our hold on the database was lost, and another control plane has it now.
        """
        with self._writing, self._open(bind=self._changes()) as session, session.begin():
            yield session

    def hold(self) -> int:
        """See that the database is ours alone, take it again if our hold was lost; gives how often it was taken.

        Raises
        ------
        DatabaseTakenError
            If another control plane has it now.
        OperationalError
            If it does not answer.
        """
        with self._writing:
            self._changes()
            return self._times_held

    def _changes(self) -> Engine | Connection:
        """Where changes are made."""
        if self._engine.dialect.name != "postgresql":
            return self._engine
        if self._holding is not None and self._holding.invalidated:
            # It broke during a change, would be connected again without a word, and hold nothing.
            self._lose(self._holding, "its connection broke during a change")
        if self._holding is not None:
            try:
                self._holding.execute(text("SELECT 1"))
                self._holding.commit()
                return self._holding
            except OperationalError as error:
                self._lose(self._holding, error.orig)
        self._holding = self._hold()
        self._times_held += 1
        return self._holding

    def _lose(self, holding: Connection, why: object) -> None:
        """Let go of a connection that holds nothing any more."""
        _log.warning("the hold on %s is lost, taking it again: %s", self._name, why)
        holding.close()
        self._holding = None

    def _hold(self) -> Connection:
        """Keep the database for us; the server lets go of it when the connection ends, however it ends."""
        connection = self._engine.connect()
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}).scalar_one():
            connection.close()
            raise DatabaseTakenError(
                f"{self._name} is in use by another bmi-decoder serve; stop that one, or give another database"
            )
        connection.commit()
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
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            # A server that has gone silent must not hold every thread that asks it.
            connect_args={
                "connect_timeout": _WAIT_S,
                "tcp_user_timeout": _WAIT_S * 1000,
                "options": f"-c statement_timeout={_WAIT_S}s",
            },
        )
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
