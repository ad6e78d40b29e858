"""The tables of the store."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from sqlalchemy import JSON, BigInteger, Double, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bmi_decoder.config import OutputFilterSettings, SessionSettings

RevisionState = Literal["trial", "used", "failed", "rolled_back"]

REVISED = ("decoder", "output_filters", "masked_channels")
"""Settings of a session that a revision holds, in columns of their names: what can change while it runs."""


class Base(DeclarativeBase):
    """What the tables have in common."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSON(none_as_null=True)}


class DecoderRow(Base):
    """One uploaded bundle; `id` is the start of its content's sha256."""

    __tablename__ = "decoders"

    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    size_bytes: Mapped[int]
    file_name: Mapped[str]
    uploaded_at: Mapped[str]
    manifest: Mapped[dict[str, Any]]


class SessionRow(Base):
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


class RevisionRow(Base):
    """One revision of a session: what decodes, where it came from, and what became of it.

    `parent` is what a rollback returns to. `state` is `trial` from before a worker is asked to swap until its answer,
    so that the next control plane can make sense of a worker that swapped while nobody listened. `held` keeps a
    decoder from being deleted while a worker may still turn to it.
    """

    __tablename__ = "revisions"

    session: Mapped[str] = mapped_column(ForeignKey("sessions.name", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    parent: Mapped[int | None]
    decoder: Mapped[str]
    output_filters: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    masked_channels: Mapped[list[int]] = mapped_column(JSON, server_default="[]")
    at: Mapped[str]
    why: Mapped[str]
    state: Mapped[str] = mapped_column(default="used")
    reason: Mapped[str] = mapped_column(default="")
    held: Mapped[str | None] = mapped_column(ForeignKey("decoders.id"), default=None, index=True)

    @property
    def filters(self) -> OutputFilterSettings | None:
        """The output filters, typed."""
        return None if self.output_filters is None else OutputFilterSettings.model_validate(self.output_filters)


class RecordingRow(Base):
    """One uploaded recording; `id` is the start of its content's sha256, `suffix` the end of its file's name."""

    __tablename__ = "recordings"

    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    file_name: Mapped[str]
    suffix: Mapped[str]
    uploaded_at: Mapped[str]
    inspection: Mapped[dict[str, Any]]


class JobRow(Base):
    """One job: what was asked for, and what became of it."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    progress: Mapped[float] = mapped_column(Double, default=0.0)
    message: Mapped[str] = mapped_column(default="")
    request: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    error: Mapped[str | None] = mapped_column(default=None)
    created_at: Mapped[str] = mapped_column(index=True)
    started_at: Mapped[str | None] = mapped_column(default=None)
    ended_at: Mapped[str | None] = mapped_column(default=None)
