"""Brings a journal's tables to the version this program expects (Alembic)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, select, text

from steward.errors import ConfigurationError
from steward.events import uuid7
from steward.journal.schema import installation
from steward.journal.store import Journal, insert_or_ignore, told_as

HEAD = "0004"
"""The newest revision in ``migrations/versions``; a test holds it there."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_WAIT_FOR_OTHERS_SECONDS = 600
_WAIT_FOR_TABLE_SECONDS = 30
_UPGRADE_LOCK = 7_233_901_101  # any number that nobody else uses in this database


def current_revision(engine: Engine) -> str | None:
    """The journal's revision; None for an empty database."""
    with engine.connect().execution_options(steward_reads=True) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(journal: Journal, revision: str = "head") -> None:
    """Create or upgrade the tables. Safe when several processes start at once.

    Raises:
        ConfigurationError: the journal was written by a newer Steward.
        JournalUnavailableError: the database is away, or another process holds it too long.

    """
    with told_as("The journal cannot be opened"):
        if current_revision(journal.engine) != HEAD or revision != "head":
            with _alone(journal.engine) as connection:
                _run_alembic(connection, revision)
    with journal.write() as transaction:
        if transaction.connection.execute(select(installation.c.id)).first() is None:
            transaction.connection.execute(  # another process may be faster
                insert_or_ignore(transaction.connection, installation).values(
                    id=1, installation_id=uuid7()[-12:], created_at=transaction.now
                )
            )


def downgrade(engine: Engine, revision: str) -> None:
    """Go back to an older revision (``base`` drops every table)."""
    from alembic import command

    with told_as("The journal cannot be opened"), _alone(engine) as connection:
        command.downgrade(_config(connection), revision)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes tables; who starts meanwhile waits for it, as long as it takes."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA busy_timeout={_WAIT_FOR_OTHERS_SECONDS * 1000}")
        try:
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    _wait_for_others(connection)
                yield connection
        finally:
            connection.invalidate()  # its patience is not for the pool


def _wait_for_others(connection: Connection) -> None:
    from steward.journal.postgres import be_patient

    be_patient(connection, None)
    for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {setting} = 0"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
    # A table that a long query uses is not waited for: everybody else would wait behind us.
    connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_FOR_TABLE_SECONDS}s'"))


def _run_alembic(connection: Connection, revision: str) -> None:
    from alembic import command  # only when there is something to do
    from alembic.util import CommandError

    try:
        command.upgrade(_config(connection), revision)
    except CommandError as error:
        raise ConfigurationError(
            f"The journal cannot be upgraded: {error}. It may have been written by a newer "
            "Steward; install that version, or start with another STEWARD_DATABASE_URL."
        ) from error


def _config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def installation_id(journal: Journal) -> str:
    """Names this installation; its webhook at MLflow is ``steward-<id>``."""
    with journal.read() as connection:
        query = select(installation.c.installation_id)
        return str(connection.execute(query).scalar_one())
