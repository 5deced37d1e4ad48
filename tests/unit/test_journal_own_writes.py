"""What an intent explains, and for how long: a change by a person must never pass for ours."""

from steward.events import EventType, NewEvent
from steward.journal import dispatches, readings
from steward.journal.ledger import JournalLedger
from steward.journal.store import Journal
from steward.journal.verdicts import standing_verdict
from steward.ports import Done, Intent
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    alias_set,
    claimed,
    delivered,
    dispatched,
    event,
    events_in,
    journal,
    journal_url,
    migrated_journal_file,
)

__all__ = ["journal", "journal_url", "migrated_journal_file"]
TO_1, TO_2 = Intent(FRAUD, "", "alias:best", "1"), Intent(FRAUD, "", "alias:best", "2")


def moved(journal: Journal, clock: FixedClock, *versions: str) -> list[str]:
    """Who moved the alias to each of these versions in turn, as the journal sees it."""
    seen = []
    for version in versions:
        clock.advance(1)
        [receipt] = delivered(journal, alias_set(version, at=clock.at, id=f"{clock.at}"))
        seen.append(event(journal, receipt.event_id).seen_by)
    return seen


def write(journal: Journal, *intents: Intent) -> None:
    """A dispatch that committed these intents, and ended well."""
    mine = claimed(journal, dispatched(journal, "work.production"))
    for intent in intents:
        JournalLedger(journal, mine).intend([intent])
    dispatches.record(journal, mine, Done())


def test_an_intent_that_found_its_value_there_excuses_no_later_change(
    journal: Journal, clock: FixedClock
) -> None:
    moved(journal, clock, "1")
    write(journal, TO_1)

    assert moved(journal, clock, "2", "1") == ["webhook", "webhook"]


def test_what_was_intended_once_more_by_a_retry_excuses_one_change_only(
    journal: Journal, clock: FixedClock
) -> None:
    write(journal, TO_1, TO_1)

    assert moved(journal, clock, "1", "2", "1") == ["self", "webhook", "webhook"]


def test_a_later_write_of_ours_ends_what_was_intended_before(
    journal: Journal, clock: FixedClock
) -> None:
    moved(journal, clock, "1")
    write(journal, TO_1)
    write(journal, TO_2)

    assert moved(journal, clock, "2", "1") == ["self", "webhook"]


def test_an_intent_that_is_still_open_outlives_a_person_s_change(
    journal: Journal, clock: FixedClock
) -> None:
    mine = claimed(journal, dispatched(journal, "work.production"))
    JournalLedger(journal, mine).intend([TO_1])

    assert moved(journal, clock, "2", "1") == ["webhook", "self"]


def test_a_champion_made_by_a_person_stays_that_when_we_moved_the_mirror(
    journal: Journal, clock: FixedClock
) -> None:
    mine = claimed(journal, dispatched(journal, "work.production"))
    JournalLedger(journal, mine).intend([TO_2])
    found = readings.look(journal, FRAUD).reading("", "champion", "2")

    dispatches.record(journal, mine, Done(readings=(found,)))

    [change] = events_in(journal, EventType.CHAMPION_CHANGED)
    with journal.read() as connection:
        standing = standing_verdict(connection, FRAUD, "2")
    assert change.seen_by == "poll"
    assert standing
    assert (standing.verdict, standing.code) == ("promoted", "by_hand")


def test_a_version_that_production_went_back_to_is_promoted_whatever_stood_before(
    journal: Journal,
) -> None:
    for left, back in (("2", "1"), ("1", "2")):
        mine = claimed(journal, dispatched(journal, "work.production"))
        JournalLedger(journal, mine).intend([Intent(FRAUD, back, "stage", "Production")])
        found = readings.look(journal, FRAUD).reading("", "champion", back)
        rolled_back = NewEvent(
            EventType.ROLLED_BACK, FRAUD, left, before=left, after=back, data={"reason": "errors"}
        )
        dispatches.record(journal, mine, Done(events=(rolled_back,), readings=(found,)))

    with journal.read() as connection:
        left, back = (standing_verdict(connection, FRAUD, version) for version in ("1", "2"))

    assert left
    assert back
    assert left.verdict == "rolled_back"
    assert (back.verdict, back.code) == ("promoted", "rolled_back_to")
    assert back.reasons == ("Production went forward to it from version 1: errors",)
    assert back.event_id == left.event_id
