"""What must survive a crash or a reboot: decoders and sessions."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select, union, update
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.orm import Session

from bmi_decoder.config import SessionSettings
from services.control.clock import now
from services.control.rest.paging import Page
from services.control.storage.database import Database
from services.control.storage.stored_session import StoredSession
from services.control.storage.tables import REVISED, DecoderRow, RevisionRow, RevisionState, SessionRow


class Store:
    """Decoders, sessions and their revisions; methods may be called from any thread.

    Sessions are kept in memory as well: nobody else writes to the database while a control plane holds it. `session`
    and `sessions` never block; everything else does.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._open, self._write = database.read, database.write
        # Held from before a change until it is in memory too, so that memory follows the order of the commits.
        self._changing = threading.Lock()
        self._sessions: dict[str, StoredSession] = {}
        self.reload()

    def reload(self) -> None:
        """Take the sessions into memory anew, because somebody else may have changed them."""
        with self._changing, self._open() as session:
            self._sessions = {row.name: _stored(session, row) for row in session.scalars(select(SessionRow))}

    def decoders(self) -> list[DecoderRow]:
        """All decoders, oldest first."""
        with self._open() as session:
            return list(session.scalars(select(DecoderRow).order_by(DecoderRow.uploaded_at, DecoderRow.id)))

    def decoder_page(self, page: Page) -> list[DecoderRow]:
        """One page of all decoders, oldest first, and one decoder more."""
        with self._open() as session:
            return page.of(session, select(DecoderRow), DecoderRow.uploaded_at, DecoderRow.id)

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
            using = select(SessionRow.name).where(SessionRow.decoder == decoder_id)
            holding = select(RevisionRow.session).where(RevisionRow.held == decoder_id)
            return sorted(session.scalars(union(using, holding)))

    def sessions(self) -> list[StoredSession]:
        """All sessions by name."""
        return sorted(self._sessions.copy().values(), key=lambda known: known.name)

    def session(self, name: str) -> StoredSession | None:
        """One session, None if there is none of that name."""
        return self._sessions.get(name)

    def add_session(self, settings: SessionSettings) -> StoredSession | None:
        """Add a session; None if the name is taken or the decoder is gone."""
        row = SessionRow(
            name=settings.name,
            decoder=settings.decoder,
            settings=settings.model_dump(mode="json"),
            created_at=now(),
        )
        with self._changing:
            try:
                with self._write() as session:
                    session.add(row)
                    session.flush()
                    _add_revision(session, row, None, "created", "used")
                    added = _stored(session, row)
            except IntegrityError:
                return None
            self._sessions[added.name] = added
        return added

    def change_session(self, name: str, **values: Any) -> StoredSession:
        """Set columns of a session that exists.

        Raises
        ------
        KeyError
            If it does not.
        """

        def change(_: Session, row: SessionRow) -> None:
            for column, value in values.items():
                setattr(row, column, value)

        return self._change(name, change)

    def revisions(self, name: str, page: Page) -> list[RevisionRow]:
        """One page of a session's revisions, oldest first, and one revision more."""
        with self._open() as session:
            query = select(RevisionRow).where(RevisionRow.session == name)
            return page.of(session, query, RevisionRow.revision)

    def revision(self, name: str, revision: int) -> RevisionRow | None:
        """One revision of a session, None if there is none of that number."""
        with self._open() as session:
            return session.get(RevisionRow, (name, revision))

    def replace_settings(self, name: str, settings: SessionSettings, why: str) -> StoredSession:
        """New settings of a session that does not run; a new revision if it will decode otherwise.

        Raises
        ------
        KeyError
            If there is no such session.
        """

        def change(session: Session, row: SessionRow) -> None:
            parent, current = row.revision, row.session_settings
            row.settings, row.decoder = settings.model_dump(mode="json"), settings.decoder
            if any(getattr(settings, field) != getattr(current, field) for field in REVISED):
                row.revision = _add_revision(session, row, parent, why, "used").revision

        return self._change(name, change)

    def add_trial(self, name: str, settings: SessionSettings, why: str) -> RevisionRow:
        """A revision that a worker is about to be asked for; the session's own stays as it is.

        Raises
        ------
        KeyError
            If there is no such session.
        """
        with self._write() as session:
            row = _session(session, name)
            wanted = SessionRow(name=name, settings=settings.model_dump(mode="json"), decoder=settings.decoder)
            return _add_revision(session, wanted, row.revision, why, "trial")

    def adopt(self, name: str, revision: int, left: RevisionState = "used", reason: str = "") -> StoredSession:
        """Make a revision that is on record the session's, because its worker publishes it.

        Parameters
        ----------
        name : str
        revision : int
        left : {"used", "rolled_back"}
            What becomes of the revision that it had.
        reason : str
            Why that one was left.
        """

        def change(session: Session, row: SessionRow) -> None:
            new = session.get_one(RevisionRow, (name, revision))
            old = session.get(RevisionRow, (name, row.revision))
            _let_go(session, name)
            new.state, new.reason = "used", ""
            if old is not None:
                old.state, old.reason = left, reason
                # The worker keeps it warm for a while.
                stored = session.get(DecoderRow, old.decoder) is not None
                old.held = old.decoder if stored and left == "used" else None
            row.revision, row.decoder = revision, new.decoder
            row.settings = row.settings | {field: getattr(new, field) for field in REVISED}

        return self._change(name, change)

    def fail_trials(self, name: str, reason: str, revision: int | None = None) -> None:
        """Note that what a worker was asked for has not happened, and will not; None is every trial."""
        with self._write() as session:
            query = update(RevisionRow).where(RevisionRow.session == name, RevisionRow.state == "trial")
            if revision is not None:
                query = query.where(RevisionRow.revision == revision)
            session.execute(query.values(state="failed", reason=reason, held=None))

    def hold(self, name: str, revision: int) -> bool:
        """Keep a revision's decoder from being deleted; False if that has happened already."""
        with self._write() as session:
            row = session.get_one(RevisionRow, (name, revision))
            if session.get(DecoderRow, row.decoder) is None:
                return False
            row.held = row.decoder
            return True

    def let_go(self, name: str) -> None:
        """No worker of this session runs: it holds no decoder but its own."""
        with self._write() as session:
            _let_go(session, name)

    def remove_session(self, name: str) -> None:
        """Remove a session."""
        with self._changing:
            with self._write() as session:
                row = session.get(SessionRow, name)
                if row is not None:
                    session.delete(row)
            self._sessions.pop(name, None)

    def _change(self, name: str, change: Callable[[Session, SessionRow], None]) -> StoredSession:
        with self._changing:
            try:
                with self._write() as session:
                    row = _session(session, name)
                    change(session, row)
                    session.flush()
                    changed = _stored(session, row)
            except DatabaseError:
                # A commit whose answer was lost may have happened.
                with contextlib.suppress(DatabaseError), self._open() as session:
                    self._sessions[name] = _stored(session, session.get_one(SessionRow, name))
                raise
            self._sessions[name] = changed
        return changed


def _session(session: Session, name: str) -> SessionRow:
    row = session.get(SessionRow, name)
    if row is None:
        raise KeyError(name)
    return row


def _add_revision(session: Session, row: SessionRow, parent: int | None, why: str, state: RevisionState) -> RevisionRow:
    latest = session.scalar(select(func.max(RevisionRow.revision)).where(RevisionRow.session == row.name)) or 0
    added = RevisionRow(
        session=row.name,
        revision=latest + 1,
        parent=parent,
        **{field: row.settings[field] for field in REVISED},
        at=row.created_at if parent is None else now(),
        why=why,
        state=state,
        held=row.decoder if state == "trial" else None,
    )
    session.add(added)
    session.flush()
    return added


def _let_go(session: Session, name: str) -> None:
    session.execute(update(RevisionRow).where(RevisionRow.session == name).values(held=None))


def _stored(session: Session, row: SessionRow) -> StoredSession:
    return StoredSession.of(row, session.get_one(DecoderRow, row.decoder))
