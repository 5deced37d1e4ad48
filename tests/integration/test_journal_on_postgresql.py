# ruff: noqa: F403 -- the tests are imported, and find this module's journal_url
"""The journal's own tests again, on a real PostgreSQL."""

import tempfile
import warnings
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, delete, text

from steward.journal.migrate import upgrade
from steward.journal.schema import metadata
from steward.journal.store import open_engine
from tests.conftest import require
from tests.unit.journal_support import open_at
from tests.unit.test_journal_deliveries import *
from tests.unit.test_journal_dispatches import *
from tests.unit.test_journal_queries import *
from tests.unit.test_journal_replay import *
from tests.unit.test_journal_stress import *


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a server of our own, with the journal's tables."""
    require("pgserver", "PostgreSQL")
    require("psycopg", "PostgreSQL's client")
    folder = tempfile.mkdtemp(prefix="pg-")  # run by root, the server's own user must get there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a folder that pgserver looks for and does not need
        import pgserver

        server = pgserver.get_server(folder, cleanup_mode="delete")
    engine = create_engine(open_engine(server.get_uri()).url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET fsync = off"))  # no power cut is tried here
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def journal_url(postgresql: str) -> Iterator[str]:
    """The journal, emptied after each test."""
    journal = open_at(postgresql)
    upgrade(journal)
    yield postgresql
    with journal.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    journal.close()
