"""Opens this installation's journal, with its tables ready and the house's routes."""

from pathlib import Path

from sqlalchemy import Engine

from steward.journal.engines import open_engine, parse_url, sqlite_file
from steward.journal.migrate import upgrade
from steward.journal.places import MOUNT_TABLE, refuse_network
from steward.journal.routing import Routing
from steward.journal.soundness import check_at_start, warn_of_wal_reset
from steward.journal.store import Journal
from steward.policy.installed import settings_channels
from steward.settings import Settings


def prepare(url: str, *, mount_table: Path = MOUNT_TABLE) -> Engine:
    """The engine of a journal that may be used: a SQLite file is looked at first."""
    file = sqlite_file(parse_url(url))
    if file:
        refuse_network(file, mount_table=mount_table)
    engine = open_engine(url)
    if file:
        check_at_start(file)
        warn_of_wal_reset()
    return engine


def open_journal(
    settings: Settings, routing: Routing, *, mount_table: Path = MOUNT_TABLE
) -> Journal:
    """The journal of ``STEWARD_DATABASE_URL``, created or upgraded first.

    Raises:
        ConfigurationError: the URL is wrong, a SQLite file lies on a network file system, or the
            journal belongs to a newer Steward.
        JournalDamagedError: SQLite finds its file damaged.
        JournalUnavailableError: the database is locked or away.

    """
    journal = Journal(
        prepare(settings.journal_url, mount_table=mount_table),
        routing,
        channels=tuple(settings_channels(settings)),
    )
    upgrade(journal)
    return journal
