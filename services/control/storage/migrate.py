"""Brings a database to the form that this version works with."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from bmi_decoder.errors import BmiError

_BEFORE_ALEMBIC = {0: None, 1: "0001", 2: "0002", 3: "0003"}
"""What SQLite files of versions that counted by themselves had, by their `user_version`."""


def migrate(connection: Connection, name: str) -> None:
    """Apply the steps that are missing, all or none.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    name : str
        Of the database, for errors.

    Raises
    ------
    BmiError
        If it is from a newer version, or not ours.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "services.control.storage:migrations")
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None and connection.dialect.name == "sqlite":
        counted = connection.execute(text("PRAGMA user_version")).scalar_one()
        if counted not in _BEFORE_ALEMBIC:
            raise _newer(name, str(counted))
        current = _BEFORE_ALEMBIC[counted]
        if current is not None:
            command.stamp(config, current)
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise _newer(name, current)
    foreign = set(inspect(connection).get_table_names()) if current is None else set()
    if foreign:
        raise BmiError(
            f"{name} holds other tables already ({', '.join(sorted(foreign)[:5])}); give a database of its own"
        )
    command.upgrade(config, "head")


def _newer(name: str, schema: str) -> BmiError:
    return BmiError(
        f"{name} was written by a newer version (schema {schema}): update bmi-decoder, or give another database"
    )
