# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
from datetime import timedelta

import pytest

from steward.errors import LeaseLostError
from steward.events import ModelRef, NewEvent
from steward.journal import claims, dispatches, leases, sweeping
from steward.journal.history import JournalHistory
from steward.journal.ledger import JournalLedger
from steward.journal.schema import desired, effects, intents
from steward.journal.store import TRANSACTIONS, Journal
from steward.ports import Done, Intent, Skipped, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    LEASE_SECONDS,
    claim,
    claimed,
    delivered,
    dispatched,
    events_in,
    finish,
    happened,
    journal,
    journal_url,
    migrated_journal_file,
    outcomes,
    row_of,
    rows_of,
    tag_set,
    version_created,
)

ALLOWED = 3


def expire(journal: Journal) -> list[str]:
    """Sweep expired leases; names what to hint."""
    _, hints = sweeping.expire(journal, deaths_allowed=ALLOWED)
    return [hint.dispatch_id for hint in hints]


def due(journal: Journal, **more: int) -> list[str]:
    return [hint.dispatch_id for hint in sweeping.due(journal, **more)]


# --- claims and lanes -----------------------------------------------------------------------------


def test_a_claim_holds_a_dispatch_for_its_lease(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")

    mine = claimed(journal, work, "me")

    row = row_of(journal, work)
    assert (row.state, row.owner, row.token, row.attempts) == ("running", "me", 1, 1)
    assert row.lease_until == clock.at + timedelta(seconds=LEASE_SECONDS)
    assert (mine.work.handler, mine.event.type, mine.attempt) == ("free", "work.free", 1)
    assert claim(journal, work, "another") is None


def test_an_unknown_or_ended_dispatch_is_nothing_to_take(journal: Journal) -> None:
    ended = dispatched(journal, "work.free")
    finish(journal, ended)

    assert claim(journal, ended) is None
    assert claim(journal, "no-such-dispatch") is None


def test_what_is_not_due_is_not_taken(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    dispatches.fail(journal, claimed(journal, work), "away", retry_in_seconds=10)

    assert claim(journal, work) is None
    clock.advance(10)
    assert claim(journal, work) is not None


def test_a_hint_takes_the_oldest_of_its_lane(journal: Journal, clock: FixedClock) -> None:
    first = dispatched(journal, "work.production")
    clock.advance(1)
    second = dispatched(journal, "work.production")

    assert claimed(journal, second).work.dispatch_id == first


def test_of_one_instant_the_one_made_first_is_the_oldest(journal: Journal) -> None:
    made = [dispatched(journal, "work.production") for _ in range(5)]

    taken = []
    for _ in made:
        mine = claimed(journal, made[-1])
        taken.append(mine.work.dispatch_id)
        dispatches.record(journal, mine, Done())

    assert taken == made


def test_a_lane_runs_one_at_a_time(journal: Journal) -> None:
    first = dispatched(journal, "work.production")
    second = dispatched(journal, "work.production")
    mine = claimed(journal, first)

    assert claim(journal, second, "another") is None
    dispatches.record(journal, mine, Done())
    assert claim(journal, second, "another") is not None


def test_lanes_of_different_models_run_beside_each_other(journal: Journal) -> None:
    mine = dispatched(journal, "work.production", model=ModelRef("a"))
    other = dispatched(journal, "work.production", model=ModelRef("b"))

    assert claim(journal, mine) is not None
    assert claim(journal, other) is not None


def test_who_finishes_hints_the_next_of_the_lane(journal: Journal) -> None:
    first = dispatched(journal, "work.production")
    second = dispatched(journal, "work.production")

    hints = finish(journal, first)

    assert [hint.dispatch_id for hint in hints] == [second]


def test_whoever_waits_or_retries_holds_no_lane(journal: Journal, clock: FixedClock) -> None:
    first, second, third = (dispatched(journal, "work.production") for _ in range(3))

    later = clock.at + timedelta(hours=1)
    hints = finish(journal, first, Wait(later, "frozen", check_seconds=600))
    assert [hint.dispatch_id for hint in hints] == [second]
    hints = dispatches.fail(journal, claimed(journal, second), "away", retry_in_seconds=60)
    assert [hint.dispatch_id for hint in hints] == [third]
    hints = dispatches.fail(journal, claimed(journal, third), "broken", retry_in_seconds=None)

    assert {hint.handler for hint in hints} == {"tell"}  # of its death; nothing else is due
    assert claim(journal, first) is None


def begins_to_write(journal: Journal, dispatch_id: str) -> claims.Claimed:
    """Claim it, and commit what it is about to write."""
    mine = claimed(journal, dispatch_id)
    intent = Intent(FRAUD, "1", "stage", "Production")
    JournalLedger(journal, mine).intend([intent])
    return mine


def test_what_stopped_halfway_is_passed_by_nobody_and_goes_on_where_others_wait_for_it(
    journal: Journal, clock: FixedClock
) -> None:
    first, second = (dispatched(journal, "work.production") for _ in range(2))
    dispatches.fail(journal, begins_to_write(journal, first), "away", retry_in_seconds=600)

    clock.advance(4)
    assert claim(journal, second) is None
    clock.advance(1)
    again = claimed(journal, second)  # long before it is due
    assert again.work.dispatch_id == first
    dispatches.record(journal, again, Done())

    assert claimed(journal, second).work.dispatch_id == second


def test_a_try_before_its_time_takes_the_place_of_the_one_that_was_to_come(
    journal: Journal, clock: FixedClock
) -> None:
    first, second = (dispatched(journal, "work.production") for _ in range(2))
    dispatches.fail(journal, begins_to_write(journal, first), "away", retry_in_seconds=600)
    for _ in range(20):
        clock.advance(5)
        early = claimed(journal, second)
        assert early.work.failures == 0
        dispatches.fail(journal, early, "away", retry_in_seconds=600)

    assert row_of(journal, first).failures == 1
    clock.advance(600)
    assert claimed(journal, first).work.failures == 1


def test_what_was_handed_back_halfway_comes_before_what_is_older(
    journal: Journal, clock: FixedClock
) -> None:
    older, halfway = (dispatched(journal, "work.production") for _ in range(2))
    dispatches.fail(journal, claimed(journal, older), "away", retry_in_seconds=10)
    dispatches.release(journal, begins_to_write(journal, halfway))
    clock.advance(10)

    assert claimed(journal, older).work.dispatch_id == halfway


def test_what_waits_or_is_dead_holds_no_lane_whatever_it_wrote(
    journal: Journal, clock: FixedClock
) -> None:
    first, second, third = (dispatched(journal, "work.production") for _ in range(3))
    later = clock.at + timedelta(hours=1)
    waiting = Wait(later, "frozen", check_seconds=600)
    dispatches.record(journal, begins_to_write(journal, first), waiting)
    dispatches.fail(journal, begins_to_write(journal, second), "broken", retry_in_seconds=None)

    assert claimed(journal, third).work.dispatch_id == third


# --- recording ------------------------------------------------------------------------------------


def test_done_records_facts_their_cause_and_their_dispatches(journal: Journal) -> None:
    work = dispatched(journal, "work.free", version="3")

    hints = finish(journal, work, Done(events=(NewEvent("model_version.validated"),), note="ok"))

    begun, fact = events_in(journal)
    assert (fact.type, fact.model, fact.version) == ("model_version.validated", FRAUD, "3")
    assert (fact.caused_by, fact.seen_by) == (begun.id, "self")
    assert [hint.handler for hint in hints] == ["promote"]
    assert (row_of(journal, work).state, row_of(journal, work).note) == ("succeeded", "ok")
    assert outcomes(journal, work) == ["succeeded"]


def test_skipped_keeps_its_reason(journal: Journal) -> None:
    work = dispatched(journal, "work.free")

    finish(journal, work, Skipped("unknown registry"))

    row = row_of(journal, work)
    assert (row.state, row.note) == ("skipped", "unknown registry")


def test_a_worker_whose_lease_was_taken_can_write_nothing(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    zombie = claimed(journal, work, "zombie")
    clock.advance(LEASE_SECONDS + 1)
    expire(journal)
    heir = claimed(journal, work, "heir")
    history, ledger = JournalHistory(journal, zombie), JournalLedger(journal, zombie)

    for write in (
        lambda: claims.heartbeat(journal, zombie, lease_seconds=60),
        lambda: dispatches.record(journal, zombie, Done(events=(NewEvent("work.free"),))),
        lambda: dispatches.record(journal, zombie, Wait(clock.at, "", then=("free",))),
        lambda: dispatches.fail(journal, zombie, "x", retry_in_seconds=1),
        lambda: dispatches.fail(journal, zombie, "x", retry_in_seconds=None),
        lambda: dispatches.release(journal, zombie),
        lambda: ledger.intend([Intent(FRAUD, "", "alias:best", "1")]),
        lambda: ledger.begin_effect("k", "email", {}),
        lambda: history.next_generation(FRAUD, "1", zombie.event),
    ):
        with pytest.raises(LeaseLostError, match="no longer held by zombie"):
            write()

    assert row_of(journal, work).owner == "heir"
    assert len(events_in(journal)) == 1
    assert [rows_of(journal, table) for table in (intents, effects, desired)] == [[], [], []]
    dispatches.record(journal, heir, Done())
    assert outcomes(journal, work) == ["expired", "succeeded"]


def test_an_effect_that_a_zombie_finished_is_not_done_again(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    zombie = claimed(journal, work)
    assert JournalLedger(journal, zombie).begin_effect("k", "email", {}) == "new"
    clock.advance(LEASE_SECONDS + 1)
    expire(journal)
    heir = JournalLedger(journal, claimed(journal, work))
    assert heir.begin_effect("k", "email", {}) == "unknown"

    JournalLedger(journal, zombie).finish_effect("k", "250 OK")

    assert heir.begin_effect("k", "email", {}) == "done"


def test_an_effect_that_was_refused_is_new_again_for_its_holder_alone(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    first = claimed(journal, work)
    ledger = JournalLedger(journal, first)
    assert ledger.begin_effect("k", "slack", {}) == "new"

    ledger.refuse_effect("k", "429")

    assert ledger.begin_effect("k", "slack", {}) == "new"
    assert ledger.begin_effect("k", "slack", {}) == "unknown"
    clock.advance(LEASE_SECONDS + 1)
    expire(journal)
    with pytest.raises(LeaseLostError):
        ledger.refuse_effect("k", "429")
    assert JournalLedger(journal, claimed(journal, work)).begin_effect("k", "s", {}) == "unknown"


def test_a_heartbeat_extends_the_lease(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    mine = claimed(journal, work)
    clock.advance(LEASE_SECONDS - 1)

    claims.heartbeat(journal, mine, lease_seconds=LEASE_SECONDS)
    clock.advance(2)

    assert expire(journal) == []
    assert row_of(journal, work).state == "running"


# --- waiting --------------------------------------------------------------------------------------


def test_a_wait_is_looked_at_again_now_and_then_and_at_its_end(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    until = clock.at + timedelta(seconds=40)

    dues = []
    for _ in range(3):
        finish(journal, work, Wait(until, "waiting for test_auc", check_seconds=15))
        clock.at = row_of(journal, work).due_at
        dues.append((until - clock.at).total_seconds())

    assert dues == [25, 10, 0]
    row = row_of(journal, work)
    assert (row.state, row.failures, row.attempts) == ("pending", 0, 3)
    assert outcomes(journal, work) == ["waiting"]  # counted, not repeated


def test_a_wait_without_end_in_the_past_is_due_now(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")

    finish(journal, work, Wait(clock.at - timedelta(hours=1), "late"))

    assert row_of(journal, work).due_at == clock.at


def test_a_wait_for_another_reason_is_another_line(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    for reason in ("a", "a", "b"):
        finish(journal, work, Wait(clock.at, reason))

    assert outcomes(journal, work) == ["waiting", "waiting"]


def test_news_that_comes_while_the_handler_looks_is_not_waited_past(
    journal: Journal, clock: FixedClock
) -> None:
    delivered(journal, version_created(at=clock.at, id="d0"))
    work = dispatched(journal, "work.free", version="1")
    mine = claimed(journal, work)
    delivered(journal, tag_set("a", at=clock.advance(1), id="d1"))
    clock.advance(1)

    wait = Wait(clock.at + timedelta(hours=1), "waiting for a tag", check_seconds=600)
    hints = dispatches.record(journal, mine, wait)

    assert row_of(journal, work).due_at == clock.at
    assert work in {hint.dispatch_id for hint in hints}


def test_news_of_another_version_wakes_nobody(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free", version="2")
    wait = Wait(clock.at + timedelta(hours=1), "waiting", check_seconds=600)
    finish(journal, work, wait)

    delivered(journal, tag_set("a", at=clock.advance(1), id="d1"))

    assert row_of(journal, work).due_at > clock.at


def test_whom_a_wait_asks_for_meanwhile_is_dispatched_once(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    wait = Wait(clock.at, "waiting", then=("annotate", "free"))

    first = finish(journal, work, wait)
    second = finish(journal, work, wait)

    assert [hint.handler for hint in first] == ["annotate"]
    assert second == []


def test_who_had_nothing_to_do_may_ask_for_another_too(journal: Journal) -> None:
    work = dispatched(journal, "work.free")

    hints = finish(journal, work, Skipped("not believed", then=("annotate", "free")))

    assert row_of(journal, work).state == "skipped"
    assert [hint.handler for hint in hints] == ["annotate"]


# --- failures -------------------------------------------------------------------------------------


def test_failures_are_counted_apart_from_attempts(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    finish(journal, work, Wait(clock.at, "waiting"))
    dispatches.release(journal, claimed(journal, work))
    dispatches.fail(journal, claimed(journal, work), "away", retry_in_seconds=0)

    mine = claimed(journal, work)

    assert (mine.work.failures, mine.attempt) == (1, 4)
    assert outcomes(journal, work) == ["waiting", "released", "failed"]
    assert "retry 1: away" in row_of(journal, work).note


def test_a_dispatch_handed_back_is_hinted_at_once(journal: Journal) -> None:
    work = dispatched(journal, "work.production")

    hints = dispatches.release(journal, claimed(journal, work))

    assert [hint.dispatch_id for hint in hints] == [work]
    assert claim(journal, work) is not None


def test_a_lease_that_ends_is_a_failure_and_the_last_allowed_is_death(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free", version="1")

    for _ in range(ALLOWED):
        claimed(journal, work)
        clock.advance(LEASE_SECONDS + 1)
        expire(journal)

    row = row_of(journal, work)
    assert (row.state, row.failures) == ("dead", ALLOWED)
    assert outcomes(journal, work) == ["expired", "expired", "dead"]
    [died] = events_in(journal, "dispatch.died")
    assert (died.model, died.version, died.data["handler"]) == (FRAUD, "1", "free")
    assert died.data["dispatch_id"] == work
    assert "stopped answering" in died.data["error"]


def test_a_death_by_lease_hints_the_next_of_the_lane(journal: Journal, clock: FixedClock) -> None:
    first = dispatched(journal, "work.production")
    second = dispatched(journal, "work.production")
    for _ in range(ALLOWED):
        claimed(journal, first)
        clock.advance(LEASE_SECONDS + 1)
        hinted = expire(journal)

    assert second in hinted


def test_an_expired_wait_shows_as_open_not_as_waiting(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    finish(journal, work, Wait(clock.at, "waiting"))
    claimed(journal, work)
    clock.advance(LEASE_SECONDS + 1)

    expire(journal)

    assert row_of(journal, work).wait_until is None


def test_an_error_for_good_is_death_and_is_told(journal: Journal) -> None:
    work = dispatched(journal, "work.free")

    hints = dispatches.fail(journal, claimed(journal, work), "no such model", retry_in_seconds=None)

    [died] = events_in(journal, "dispatch.died")
    assert died.data["error"] == "no such model"
    assert died.caused_by == died.data["event_id"]
    assert [hint.handler for hint in hints] == ["tell"]


def test_the_death_of_notify_is_not_told_of_itself(journal: Journal, clock: FixedClock) -> None:
    failing, hanging = (dispatched(journal, "work.told") for _ in range(2))
    dispatches.fail(journal, claimed(journal, failing), "410 Gone", retry_in_seconds=None)
    for _ in range(ALLOWED):
        claimed(journal, hanging)
        clock.advance(LEASE_SECONDS + 1)
        expire(journal)

    assert {row_of(journal, each).state for each in (failing, hanging)} == {"dead"}
    assert events_in(journal, "dispatch.died") == []


def test_a_finished_dispatch_never_expires(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    finish(journal, work)
    clock.advance(10 * LEASE_SECONDS)

    assert expire(journal) == []
    assert row_of(journal, work).state == "succeeded"


# --- the sweep ------------------------------------------------------------------------------------


def test_a_hint_that_nobody_answers_is_repeated_ever_later(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    born, hinted = clock.at, []

    while (clock.at - born).total_seconds() < 1300:
        if due(journal):
            hinted.append((clock.at - born).total_seconds())
        clock.advance(5)

    gaps = [later - sooner for sooner, later in zip([0, *hinted], hinted, strict=False)]
    assert gaps[:8] == [5, 5, 10, 20, 40, 60, 60, 60]
    assert row_of(journal, work).state == "pending"


def test_a_retry_is_hinted_when_it_comes_due_and_not_before(
    journal: Journal, clock: FixedClock
) -> None:
    work = dispatched(journal, "work.free")
    dispatches.fail(journal, claimed(journal, work), "away", retry_in_seconds=30)

    clock.advance(29)
    assert due(journal) == []
    clock.advance(1)
    assert due(journal) == [work]


def test_the_sweep_leaves_a_busy_lane_to_who_finishes(journal: Journal, clock: FixedClock) -> None:
    first = dispatched(journal, "work.production")
    second = dispatched(journal, "work.production")
    mine = claimed(journal, first)
    clock.advance(30)

    assert due(journal) == []
    dispatches.record(journal, mine, Done())
    assert due(journal) == [second]


def test_a_round_of_the_sweep_has_a_limit_and_the_next_takes_the_rest(
    journal: Journal, clock: FixedClock
) -> None:
    made = {dispatched(journal, "work.free") for _ in range(5)}
    clock.advance(5)

    rounds = [due(journal, limit=2) for _ in range(4)]

    assert [len(each) for each in rounds] == [2, 2, 1, 0]
    assert {each for some in rounds for each in some} == made


def test_the_sweep_of_a_quiet_journal_writes_nothing(journal: Journal) -> None:
    before = TRANSACTIONS._value.get()

    assert due(journal) == expire(journal) == []

    assert TRANSACTIONS._value.get() == before


# --- leases of roles ------------------------------------------------------------------------------


def test_one_holder_at_a_time_until_it_ends_or_is_given_back(
    journal: Journal, clock: FixedClock
) -> None:
    assert leases.acquire(journal, "sweep", "a", seconds=10)
    assert not leases.acquire(journal, "sweep", "b", seconds=10)
    assert leases.acquire(journal, "sweep", "a", seconds=10)
    assert leases.holders(journal) == {"sweep": "a"}

    clock.advance(10)
    assert leases.acquire(journal, "sweep", "b", seconds=10)
    assert not leases.acquire(journal, "sweep", "a", seconds=10)

    leases.give_back(journal, "sweep", "a")  # not its own any more
    assert leases.holders(journal) == {"sweep": "b"}
    leases.give_back(journal, "sweep", "b")
    assert leases.acquire(journal, "sweep", "a", seconds=10)


def test_happened_makes_no_dispatch_where_no_route_is(journal: Journal) -> None:
    assert happened(journal, "unheard.of") == []
