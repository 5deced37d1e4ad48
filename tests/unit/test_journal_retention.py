# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""What ages out, what stays, and that it happens in small steps."""

from datetime import timedelta

import pytest

from steward.journal import dispatches, replay, retention
from steward.journal.ledger import JournalLedger
from steward.journal.retention import Keep, age_out
from steward.journal.schema import attempts as attempts_table
from steward.journal.schema import intents as intents_table
from steward.journal.store import Journal
from steward.ports import Done, Intent, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    claimed,
    delivered,
    dispatched,
    event,
    finish,
    journal,
    journal_url,
    kept_deliveries,
    migrated_journal_file,
    outcomes,
    row_of,
    rows_of,
    version_created,
)

MONTH = timedelta(days=30)
QUARTER = timedelta(days=90)


def test_raw_bodies_age_out_and_their_deliveries_stay(journal: Journal, clock: FixedClock) -> None:
    delivered(journal, version_created("1", at=clock.now(), id="old"))
    clock.advance((QUARTER).total_seconds())
    delivered(journal, version_created("2", at=clock.now(), id="new"))
    clock.advance(1)

    aged = age_out(journal, Keep(bodies=QUARTER))

    assert aged.bodies == 1
    assert aged.is_done
    assert [(row.delivery_id, row.body) for row in kept_deliveries(journal)] == [
        ("old", None),
        ("new", b"{}"),
    ]


def test_nothing_ages_where_the_setting_says_for_good(journal: Journal, clock: FixedClock) -> None:
    delivered(journal, version_created("1", at=clock.now(), id="old"))
    clock.advance((QUARTER * 10).total_seconds())

    aged = age_out(journal, Keep())

    assert (aged.bodies, aged.attempts) == (0, 0)
    assert kept_deliveries(journal)[0].body == b"{}"


def test_attempts_age_out_and_their_dispatch_stays_as_it_ended(
    journal: Journal, clock: FixedClock
) -> None:
    done = dispatched(journal, "work.free")
    finish(journal, done)
    clock.advance(MONTH.total_seconds() + 1)

    assert age_out(journal, Keep(attempts=MONTH)).attempts == 1
    assert outcomes(journal, done) == []
    assert row_of(journal, done).state == "succeeded"


def test_a_dead_dispatch_and_one_that_waits_keep_every_attempt(
    journal: Journal, clock: FixedClock
) -> None:
    dead, waiting = dispatched(journal, "work.free"), dispatched(journal, "work.free")
    dispatches.fail(journal, claimed(journal, dead), "no", retry_in_seconds=None)
    finish(journal, waiting, Wait(clock.now() + QUARTER, "for news"))
    clock.advance((MONTH * 2).total_seconds())

    assert age_out(journal, Keep(attempts=MONTH)).attempts == 0
    assert outcomes(journal, dead) == ["dead"]
    assert outcomes(journal, waiting) == ["waiting"]


def test_a_replay_after_that_does_not_take_an_old_intent_for_its_own(
    journal: Journal, clock: FixedClock
) -> None:
    dispatch_id = dispatched(journal, "work.production", version="1")
    intent = Intent(FRAUD, "1", "stage", "Production")
    mine = claimed(journal, dispatch_id)
    JournalLedger(journal, mine).intend([intent])
    dispatches.record(journal, mine, Done())
    clock.advance((MONTH * 2).total_seconds())

    age_out(journal, Keep(attempts=MONTH))

    assert rows_of(journal, intents_table) == []
    again = [event(journal, row_of(journal, dispatch_id).event_id)]
    replay.apply(journal, again, handlers=None, mode="all", actor="ana", reason="again")
    assert JournalLedger(journal, claimed(journal, dispatch_id)).begun() == []


def test_many_rows_age_out_in_steps_and_each_step_goes_on_where_the_last_ended(
    journal: Journal, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    for number in range(5):
        delivered(journal, version_created(str(number), at=clock.now(), id=str(number)))
    clock.advance((QUARTER * 2).total_seconds())

    steps = [age_out(journal, Keep(bodies=QUARTER, attempts=QUARTER)) for _ in range(3)]

    assert [step.bodies for step in steps] == [2, 2, 1]
    assert [step.is_done for step in steps] == [False, False, True]
    assert age_out(journal, Keep(bodies=QUARTER, attempts=QUARTER)).bodies == 0


def test_settings_speak_of_days_and_zero_is_for_good() -> None:
    assert Keep.days(bodies=90, attempts=0) == Keep(bodies=QUARTER, attempts=None)


def test_what_was_kept_of_a_dead_dispatch_stays_after_its_replay(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    dispatches.fail(journal, claimed(journal, work), "no", retry_in_seconds=None)
    clock.advance((MONTH * 2).total_seconds())
    age_out(journal, Keep(attempts=MONTH))
    again = [event(journal, row_of(journal, work).event_id)]
    replay.apply(journal, again, handlers=None, mode="failed", actor="ana", reason="mended")
    finish(journal, work)
    clock.advance((MONTH * 2).total_seconds())

    age_out(journal, Keep(attempts=MONTH))

    assert outcomes(journal, work) == ["dead"]
