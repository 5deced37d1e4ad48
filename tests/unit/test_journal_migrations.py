# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
import multiprocessing
from itertools import product
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from steward.errors import ConfigurationError
from steward.journal import migrate
from steward.journal.migrate import current_revision, downgrade, installation_id, upgrade
from steward.journal.schema import dispatches, metadata
from steward.journal.store import Journal, open_engine
from tests.unit.journal_support import (
    ROUTING,
    empty_url,
    events_in,
    happened,
    open_at,
    rows_of,
)

SCRIPTS = ScriptDirectory(str(migrate._MIGRATIONS))
REVISIONS = [script.revision for script in reversed([*SCRIPTS.walk_revisions()])]


@pytest.fixture
def empty(empty_url: str):
    journal = Journal(open_engine(empty_url), ROUTING)
    yield journal
    journal.close()


def test_an_empty_database_has_no_revision(empty: Journal) -> None:
    assert current_revision(empty.engine) is None


def test_upgrading_makes_exactly_the_tables_that_the_code_knows(empty: Journal) -> None:
    upgrade(empty)

    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert current_revision(empty.engine) == migrate.HEAD


def test_the_head_constant_is_the_newest_script() -> None:
    assert SCRIPTS.get_heads() == [migrate.HEAD]


def test_downgrading_to_the_base_drops_every_table_and_upgrading_makes_them_again(
    empty: Journal,
) -> None:
    upgrade(empty)

    downgrade(empty.engine, "base")

    assert set(inspect(empty.engine).get_table_names()) <= {"alembic_version"}
    assert current_revision(empty.engine) is None
    upgrade(empty)
    assert current_revision(empty.engine) == migrate.HEAD


@pytest.mark.parametrize(("start", "end"), [*product(["base", *REVISIONS], repeat=2)])
def test_every_revision_leads_to_every_other(empty: Journal, start: str, end: str) -> None:
    move(empty, start)
    move(empty, end)
    arrived = tables_of(empty)

    downgrade(empty.engine, "base")
    move(empty, end)

    assert arrived == tables_of(empty)
    assert current_revision(empty.engine) == (None if end == "base" else end)


def test_what_was_journalled_survives_the_way_down_and_up(empty: Journal) -> None:
    upgrade(empty)
    who_we_are = installation_id(empty)
    happened(empty, "work.free", version="1")

    downgrade(empty.engine, REVISIONS[0])
    upgrade(empty)

    assert installation_id(empty) == who_we_are
    [event] = events_in(empty)
    assert (event.type, event.version) == ("work.free", "1")
    [row] = rows_of(empty, dispatches)
    assert row.event_id == event.id


def move(journal: Journal, revision: str) -> None:
    """Up or down to a revision, wherever the journal is."""
    at = current_revision(journal.engine)
    order = ["base", *REVISIONS]
    if order.index(at or "base") > order.index(revision):
        downgrade(journal.engine, revision)
    elif revision != "base":
        upgrade(journal, revision)


def tables_of(journal: Journal) -> dict[str, Any]:
    """What the database says of every table."""
    looking = inspect(journal.engine)
    return {
        name: (
            [{**column, "type": str(column["type"])} for column in looking.get_columns(name)],
            looking.get_pk_constraint(name),
            sorted(looking.get_foreign_keys(name), key=str),
            sorted(map(_in_words, looking.get_indexes(name))),
            sorted(looking.get_unique_constraints(name), key=str),
        )
        for name in looking.get_table_names()
        if name != "alembic_version"
    }


def _in_words(index: Any) -> str:
    conditions = {name: str(value) for name, value in index["dialect_options"].items()}
    return str({**index, "dialect_options": conditions})


def test_upgrading_twice_changes_nothing_not_even_who_we_are(empty: Journal) -> None:
    upgrade(empty)
    name = installation_id(empty)

    upgrade(empty)

    assert installation_id(empty) == name


def test_processes_that_start_at_once_upgrade_once(empty_url: str, empty: Journal) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=_upgrade_together, args=(empty_url, barrier)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0]
    assert current_revision(empty.engine) == migrate.HEAD


def _upgrade_together(url: str, barrier) -> None:
    journal = open_at(url)
    barrier.wait(50)
    upgrade(journal)
    journal.close()


def test_a_journal_of_a_newer_steward_is_refused_with_what_to_do(empty: Journal) -> None:
    upgrade(empty)
    with empty.write() as transaction:
        transaction.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match=r"9999.*newer Steward.*STEWARD_DATABASE_URL"):
        upgrade(empty)


def test_a_journal_with_tables_takes_writes(empty: Journal) -> None:
    upgrade(empty)

    assert empty.is_writable()
