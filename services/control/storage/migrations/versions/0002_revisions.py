"""Revisions of sessions; each session that is there has one."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Make the table, and the revision of each session."""
    revisions = op.create_table(
        "revisions",
        sa.Column("session", sa.String(), sa.ForeignKey("sessions.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True),
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("decoder", sa.String(), nullable=False),
        sa.Column("output_filters", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("held", sa.String(), sa.ForeignKey("decoders.id"), nullable=True, index=True),
    )
    sessions = sa.table(
        "sessions",
        sa.column("name", sa.String()),
        sa.column("revision", sa.Integer()),
        sa.column("decoder", sa.String()),
        sa.column("settings", sa.JSON()),
        sa.column("created_at", sa.String()),
    )
    found = op.get_bind().execute(sa.select(sessions)).mappings().all()
    first = [
        {
            "session": row["name"],
            "revision": row["revision"],
            "decoder": row["decoder"],
            "output_filters": row["settings"]["output_filters"],
            "at": row["created_at"],
            "why": "created",
            "state": "used",
            "reason": "",
        }
        for row in found
    ]
    if first:
        op.bulk_insert(revisions, first)
