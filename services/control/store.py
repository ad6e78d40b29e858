"""What must survive a crash or a reboot: decoders and sessions, in SQLite.

The write-ahead log is synchronised at every commit, so whatever a request has acknowledged is on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import JSON, ForeignKey, create_engine, event, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from bmi_decoder.config import SessionSettings
from bmi_decoder.errors import BmiError

_SCHEMA_VERSION = 1


class _Base(DeclarativeBase):
    type_annotation_map: ClassVar = {dict[str, Any]: JSON(none_as_null=True)}


class DecoderRow(_Base):
    """One uploaded bundle; `id` is the start of its content's sha256."""

    __tablename__ = "decoders"

    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    size_bytes: Mapped[int]
    file_name: Mapped[str]
    uploaded_at: Mapped[str]
    manifest: Mapped[dict[str, Any]]


class SessionRow(_Base):
    """One session: its settings, whether it should run, and how its last worker ended.

    `failed` holds a worker back after an error that only the user can mend, until the session is started
    again.
    """

    __tablename__ = "sessions"

    name: Mapped[str] = mapped_column(primary_key=True)
    decoder: Mapped[str] = mapped_column(ForeignKey("decoders.id"), index=True)
    settings: Mapped[dict[str, Any]]
    revision: Mapped[int] = mapped_column(default=1)
    wanted: Mapped[bool] = mapped_column(default=False)
    failed: Mapped[bool] = mapped_column(default=False)
    restarts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[str]
    last: Mapped[dict[str, Any] | None] = mapped_column(default=None)

    @property
    def session_settings(self) -> SessionSettings:
        """The settings, typed."""
        return SessionSettings.model_validate(self.settings)


def now() -> str:
    """The time of day, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Store:
    """The database of one data directory; methods may be called from any thread.

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
                _Base.metadata.create_all(connection)
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
    def _write(self) -> Iterator[Session]:
        with self._writing, self._open.begin() as session:
            yield session

    def decoders(self) -> list[DecoderRow]:
        """All decoders, oldest first."""
        with self._open() as session:
            return list(session.scalars(select(DecoderRow).order_by(DecoderRow.uploaded_at, DecoderRow.id)))

    def decoder(self, decoder_id: str) -> DecoderRow | None:
        """One decoder, None if there is none of that id."""
        with self._open() as session:
            return session.get(DecoderRow, decoder_id)

    def add_decoder(self, row: DecoderRow) -> DecoderRow:
        """Add a decoder; the one that is there already if its content is the same."""
        with self._write() as session:
            known = session.get(DecoderRow, row.id)
            if known is None:
                session.add(row)
            return known or row

    def remove_decoder(self, decoder_id: str) -> bool:
        """Remove a decoder; False if a session uses it."""
        try:
            with self._write() as session:
                row = session.get(DecoderRow, decoder_id)
                if row is not None:
                    session.delete(row)
        except IntegrityError:
            return False
        return True

    def users_of(self, decoder_id: str) -> list[str]:
        """Names of the sessions that use a decoder."""
        with self._open() as session:
            query = select(SessionRow.name).where(SessionRow.decoder == decoder_id)
            return list(session.scalars(query.order_by(SessionRow.name)))

    def sessions(self) -> list[SessionRow]:
        """All sessions by name."""
        with self._open() as session:
            return list(session.scalars(select(SessionRow).order_by(SessionRow.name)))

    def session(self, name: str) -> SessionRow | None:
        """One session, None if there is none of that name."""
        with self._open() as session:
            return session.get(SessionRow, name)

    def add_session(self, settings: SessionSettings) -> SessionRow | None:
        """Add a session; None if the name is taken or the decoder is gone."""
        row = SessionRow(
            name=settings.name,
            decoder=settings.decoder,
            settings=settings.model_dump(mode="json"),
            created_at=now(),
        )
        try:
            with self._write() as session:
                session.add(row)
        except IntegrityError:
            return None
        return row

    def change_session(self, name: str, **values: Any) -> SessionRow:
        """Set columns of a session that exists.

        Raises
        ------
        KeyError
            If it does not.
        """
        with self._write() as session:
            row = session.get(SessionRow, name)
            if row is None:
                raise KeyError(name)
            for column, value in values.items():
                setattr(row, column, value)
            return row

    def remove_session(self, name: str) -> None:
        """Remove a session."""
        with self._write() as session:
            row = session.get(SessionRow, name)
            if row is not None:
                session.delete(row)


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
