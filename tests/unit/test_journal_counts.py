# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""What is counted for the installation: in the transaction of what is counted, and only once."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import pytest
from sqlalchemy import delete, select, update

from steward.journal import counters, migrate, readings, vitals
from steward.journal.schema import SEEN_READ, events
from steward.journal.schema import counters as table
from steward.journal.store import Journal, Transaction
from steward.ports import ModelInfo, VersionInfo
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    begin_before,
    delivered,
    empty_url,
    journal,
    journal_url,
    migrated_journal_file,
    open_at,
    tag_set,
    version_created,
)

CREATED, TAGGED = "model_version.created", "model_version_tag.set"


def polled(journal: Journal, born: datetime, *versions: str, **tags: str) -> None:
    """A poll finds the one model with these versions, each with these tags."""
    look = readings.look(journal, FRAUD)
    found = [VersionInfo(FRAUD, each, born, born, tags=tags) for each in versions]
    info = ModelInfo(FRAUD, born, born)
    readings.record_models(journal, [readings.ModelReading(look, info, found)])


def told(journal: Journal) -> Mapping[str, int]:
    """The count of each type that has one, which is what a look at every event would find."""
    found = {name: count for name, count in vitals.read(journal).seen_by_poll.items() if count}
    with journal.read() as connection:
        alone = select(events.c.type).where(events.c.seen == SEEN_READ)
        assert found == Counter(connection.execute(alone).scalars())
    return found


def test_what_only_the_poll_saw_is_counted_by_type(journal: Journal, clock: FixedClock) -> None:
    born = clock.at
    begin_before(journal, born)
    polled(journal, born, "1", "2")
    clock.advance(60)

    polled(journal, born, "1", "2", "3", k="v")

    counted = told(journal)
    assert (counted[CREATED], counted[TAGGED]) == (3, 2)  # the third came with its tag


def test_a_webhook_that_comes_late_takes_it_back_once(journal: Journal, clock: FixedClock) -> None:
    born = clock.at
    begin_before(journal, born)
    polled(journal, born, "1", "2")

    for number in range(2):  # the sender sends again
        delivered(journal, version_created("1", at=clock.advance(1), id=f"d{number}"))

    assert told(journal)[CREATED] == 1


def test_what_a_webhook_told_is_not_counted_though_the_poll_sees_it_too(
    journal: Journal, clock: FixedClock
) -> None:
    born = clock.at
    begin_before(journal, born)
    delivered(journal, version_created("1", at=clock.at, id="d1"))
    clock.advance(60)

    polled(journal, born, "1")
    delivered(journal, version_created("1", at=clock.advance(1), id="d2"))

    assert CREATED not in told(journal)


def test_there_is_a_count_of_versions_before_the_first_is_lost(journal: Journal) -> None:
    assert vitals.read(journal).seen_by_poll == {CREATED: 0}


def test_what_is_not_written_is_not_counted(journal: Journal) -> None:
    def fail() -> None:
        with journal.write() as transaction:
            counters.add(transaction, counters.EXPIRED_LEASES, 1)
            raise ValueError("given up")

    with pytest.raises(ValueError, match="given up"):
        fail()

    assert vitals.read(journal).counters["expired_leases"] == 0


def test_the_upgrade_counts_what_is_there(empty_url: str, clock: FixedClock) -> None:
    before = open_at(empty_url, clock)
    migrate.upgrade(before)
    born = clock.at
    begin_before(before, born)
    polled(before, born, "1", "2", k="v")
    delivered(before, version_created("1", at=clock.advance(1), id="d1"))
    counted = told(before)
    migrate.downgrade(before.engine, "0002")
    assert vitals.read(before).seen_by_poll == {CREATED: 0}

    migrate.upgrade(before)

    assert told(before) == counted
    before.close()
