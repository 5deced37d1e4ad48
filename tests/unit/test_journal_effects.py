# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""The ledger goes on where another transaction was in its way: nothing is done twice for that."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from steward.journal.ledger import JournalLedger
from steward.journal.schema import effects, intents
from steward.journal.store import Journal
from steward.ports import Intent
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    claimed,
    dispatched,
    journal,
    journal_url,
    migrated_journal_file,
    rows_of,
)


class Deadlock(Exception):  # noqa: N818  # it plays the driver's error
    sqlstate = "40P01"


@contextmanager
def deadlock_at(journal: Journal, statement: str) -> Iterator[None]:
    """The first statement that begins so is chosen by the database to give way."""
    met: list[str] = []

    def give_way(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith(statement) and not met:
            met.append(sql)
            raise OperationalError(sql, {}, Deadlock("deadlock detected"))

    event.listen(journal.engine, "before_cursor_execute", give_way)
    yield
    event.remove(journal.engine, "before_cursor_execute", give_way)
    assert met


@pytest.fixture
def ledger(journal: Journal) -> JournalLedger:
    return JournalLedger(journal, claimed(journal, dispatched(journal, "work.free")))


def test_a_message_that_left_is_noted_as_sent_also_after_a_deadlock(
    journal: Journal, ledger: JournalLedger
) -> None:
    ledger.begin_effect("k", "email", {})

    with deadlock_at(journal, "UPDATE effects"):
        ledger.finish_effect("k", "250 OK")

    assert ledger.begin_effect("k", "email", {}) == "done"


def test_an_effect_begins_once_also_after_a_deadlock(
    journal: Journal, ledger: JournalLedger
) -> None:
    with deadlock_at(journal, "INSERT INTO effects"):
        assert ledger.begin_effect("k", "email", {}) == "new"

    assert [row.state for row in rows_of(journal, effects)] == ["begun"]


def test_a_refusal_is_noted_also_after_a_deadlock(journal: Journal, ledger: JournalLedger) -> None:
    ledger.begin_effect("k", "slack", {})

    with deadlock_at(journal, "UPDATE effects"):
        ledger.refuse_effect("k", "429")

    assert ledger.begin_effect("k", "slack", {}) == "new"


def test_an_intent_is_written_once_also_after_a_deadlock(
    journal: Journal, ledger: JournalLedger
) -> None:
    with deadlock_at(journal, "INSERT INTO intents"):
        ledger.intend([Intent(FRAUD, "1", "stage", "Production")])

    assert [row.value for row in rows_of(journal, intents)] == ["Production"]


def test_a_holdout_counts_each_version_that_it_decided_on_once(
    journal: Journal, ledger: JournalLedger
) -> None:
    counts = [ledger.use_holdout(FRAUD, version, "a" * 64) for version in ("1", "2", "2", "3")]

    assert counts == [1, 2, 2, 3]
    assert ledger.use_holdout(FRAUD, "3", "b" * 64) == 1


def test_the_same_intent_is_counted_once_a_dispatch_of_this_handler_and_since_when_one_asks(
    journal: Journal, clock: FixedClock
) -> None:
    begun = clock.at
    intent, other = (Intent(FRAUD, "", "alias:challenger", version) for version in ("2", "3"))

    def ledger_of(kind: str) -> JournalLedger:
        return JournalLedger(journal, claimed(journal, dispatched(journal, kind)))

    for intended in (intent, intent, other):
        clock.advance(60)
        one = ledger_of("work.free")
        one.intend([intended])
        one.intend([intended])  # it looked again
    ledger_of("work.told").intend([intent])
    last = ledger_of("work.free")
    last.intend([intent])

    assert last.times_intended(intent, since=begun) == 2
    assert last.times_intended(other, since=begun) == 1
    assert last.times_intended(intent, since=begun + timedelta(seconds=90)) == 1
    assert last.times_intended(Intent(FRAUD, "", "alias:challenger", None), since=begun) == 0
