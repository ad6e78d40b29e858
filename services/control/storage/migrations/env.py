"""Run by alembic: applies the steps on the connection that it was given, all or none."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # SQLite can do it, but alembic does not expect it to.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
