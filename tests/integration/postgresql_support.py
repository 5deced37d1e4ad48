"""Unit tests of the journal again, on a PostgreSQL database of the test module's own.

A module of ``journal_on_postgresql`` takes over the tests of a unit module, whose own fixtures
these here replace: ``globals().update(on_postgresql(test_journal_replay))``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Engine, text

from steward.journal.migrate import upgrade
from steward.journal.schema import metadata
from tests.postgres import Databases
from tests.unit.journal_support import FreshJournal, open_at


@pytest.fixture(scope="module")
def module_name(request: pytest.FixtureRequest) -> str:
    return str(request.module.__name__).rsplit(".", 1)[-1]


@pytest.fixture(scope="module")
def module_database(postgresql: Databases, module_name: str) -> str:
    """The URL of the test module's own database."""
    return postgresql.database(module_name)


@pytest.fixture(scope="module")
def fresh_journal(module_database: str) -> Iterator[FreshJournal]:
    """A journal that is emptied whenever it is asked for again."""
    journal = open_at(module_database)
    upgrade(journal)

    @contextmanager
    def fresh() -> Iterator[str]:
        _empty(journal.engine)
        upgrade(journal)
        yield module_database

    yield fresh
    journal.close()


@pytest.fixture
def journal_url(fresh_journal: FreshJournal) -> Iterator[str]:
    with fresh_journal() as url:
        yield url


_databases = count(1)


@pytest.fixture
def empty_url(postgresql: Databases, module_name: str) -> str:
    return postgresql.database(f"{module_name}_{next(_databases)}")


@pytest.fixture(autouse=True)
def is_in_postgresql(request: pytest.FixtureRequest) -> None:
    """No test passes here on the SQLite file that its own module would have used."""
    if "journal" in request.fixturenames:
        assert request.getfixturevalue("journal").engine.dialect.name == "postgresql"


FIXTURES = {
    "is_in_postgresql": is_in_postgresql,
    "empty_url": empty_url,
    "fresh_journal": fresh_journal,
    "journal_url": journal_url,
    "module_database": module_database,
    "module_name": module_name,
}


def on_postgresql(module: ModuleType) -> dict[str, Any]:
    """The tests and fixtures of a unit module, with a journal in PostgreSQL."""
    return {name: it for name, it in vars(module).items() if name[:2] != "__"} | FIXTURES


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):  # TRUNCATE is slower for this few rows
            connection.execute(text(f'DELETE FROM "{table.name}"'))  # noqa: S608  # our own names
