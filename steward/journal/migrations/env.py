"""Alembic's entry point: runs on the connection that steward.journal.migrate hands over."""

from alembic import context

from steward.journal.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
