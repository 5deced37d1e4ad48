"""A journal in PostgreSQL in the place of the unit tests' file: import both fixtures by name."""

from collections.abc import Iterator

import pytest
from sqlalchemy import delete

from steward.journal.migrate import upgrade
from steward.journal.schema import metadata
from tests.postgres import Databases
from tests.unit.journal_support import open_at

__all__ = ["journal_url", "module_database"]


@pytest.fixture(scope="module")
def module_database(postgresql: Databases, request: pytest.FixtureRequest) -> str:
    """The URL of the test module's own database."""
    return postgresql.database(request.module.__name__.rsplit(".", 1)[-1])


@pytest.fixture
def journal_url(module_database: str) -> Iterator[str]:
    """The journal, emptied after each test."""
    journal = open_at(module_database)
    upgrade(journal)
    yield module_database
    with journal.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    journal.close()
