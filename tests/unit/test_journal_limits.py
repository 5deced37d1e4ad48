"""A transaction may be about more rows than SQLite takes variables in one statement."""

# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from steward.events import EventType, ModelRef, NewEvent
from steward.journal import fleet, queries
from steward.journal.bulk import CHUNK
from steward.journal.observed import ObservedState
from steward.journal.schema import SEEN_READ, dispatches, events
from steward.journal.store import Journal
from steward.journal.writing import EventWriter, wake_waiting
from steward.ports import Hint
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    journal_url,
    migrated_journal_file,
    open_at,
)

FEW_VARIABLES = 6 * CHUNK + 10
MANY = FEW_VARIABLES + 1


@pytest.fixture
def journal(journal_url: str, clock: FixedClock) -> Iterator[Journal]:
    """A journal; on an SQLite that takes as few variables as one chunk may need."""
    journal = open_at(journal_url, clock)

    def limit(connection: sqlite3.Connection, _record: Any) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, FEW_VARIABLES)

    if journal.engine.dialect.name == "sqlite":
        event.listen(journal.engine, "connect", limit)
    yield journal
    journal.close()


def written(journal: Journal) -> list[str]:
    """The ids of many events, each of a version of its own and with one dispatch."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        ids = [
            writer.add(NewEvent(EventType.VERSION_CREATED, FRAUD, str(n)), seen=0)
            for n in range(MANY)
        ]
        writer.flush()
    return ids


def test_news_of_many_versions_wakes_all_that_wait(journal: Journal, clock: FixedClock) -> None:
    written(journal)
    later = clock.at + timedelta(hours=1)
    with journal.write() as transaction:
        transaction.connection.execute(update(dispatches).values(due_at=later, wait_until=later))

    with journal.write() as transaction:
        keys = [(FRAUD.registry, FRAUD.workspace, FRAUD.name, str(n)) for n in range(MANY)]
        wake_waiting(transaction, keys)
        hints: list[Hint] = transaction.hints

    with journal.read() as connection:
        due = select(func.count()).where(dispatches.c.due_at <= clock.at)
        assert connection.execute(due).scalar_one() == MANY
    assert len({hint.dispatch_id for hint in hints}) == len(hints) == MANY


def test_a_reading_may_vouch_for_many_events(journal: Journal) -> None:
    ids = written(journal)

    with journal.write() as transaction:
        state = ObservedState(transaction, EventWriter(journal, transaction))
        state.lock_models([FRAUD])
        for number, event_id in enumerate(ids):
            state.seed(state.model_id(FRAUD), str(number), {"stage": "x"}, event_id=event_id)
            state.compare(FRAUD, str(number), "stage", "x", seen=SEEN_READ, read_at=transaction.now)
        state.flush()

    with journal.read() as connection:
        vouched = select(func.count()).where(events.c.seen == SEEN_READ)
        assert connection.execute(vouched).scalar_one() == MANY


def test_many_replicas_may_beat_at_once(journal: Journal) -> None:
    batch = [
        fleet.Heartbeat(f"r{n}", FRAUD, "http://r", "1", 0, "ready", "b", None, None)
        for n in range(MANY)
    ]

    fleet.record_heartbeats(journal, batch)
    fleet.record_heartbeats(journal, batch)

    assert len(fleet.live_replicas(journal, FRAUD)) == MANY


def test_many_models_may_be_locked_at_once(journal: Journal) -> None:
    refs = [ModelRef(f"m{n}") for n in range(MANY)]

    for _ in ("made", "found"):
        with journal.write() as transaction:
            state = ObservedState(transaction, EventWriter(journal, transaction))
            state.lock_models(refs)
            assert len({state.model_id(ref) for ref in refs}) == MANY


def test_the_dispatches_of_many_events_may_be_asked_for(journal: Journal) -> None:
    ids = written(journal)

    with journal.read() as connection:
        grouped = queries.dispatches_of(connection, ids)
        attempted = queries.attempts_of(connection, [row.id for [row] in grouped.values()])

    assert list(grouped.keys() - ids) == []
    assert len(grouped) == MANY
    assert attempted == {}
