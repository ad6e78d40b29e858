"""Revisions say which channels were masked; until now none were."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("revisions", sa.Column("masked_channels", sa.JSON(), nullable=False, server_default="[]"))
