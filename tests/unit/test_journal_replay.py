# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
from datetime import timedelta

import pytest

from steward.events import Event
from steward.journal import deliveries, dispatches, replay, sweeping
from steward.journal.ledger import JournalLedger
from steward.journal.queries import EventFilter
from steward.journal.routing import Routing
from steward.journal.schema import audit
from steward.journal.store import Hint, Journal
from steward.ports import Done, Intent, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    ROUTES,
    alias_set,
    claim,
    claimed,
    dispatched,
    events_in,
    finish,
    journal,
    journal_url,
    migrated_journal_file,
    open_at,
    outcomes,
    row_of,
    rows_of,
)


def replayed(
    journal: Journal, mode: replay.Mode, *events: Event, handlers: list[str] | None = None
) -> tuple[list[str], list[Hint]]:
    """What was done to each dispatch, in words."""
    chosen = events or tuple(events_in(journal))
    steps, hints = replay.apply(
        journal, chosen, handlers=handlers, mode=mode, actor="ana", reason="INC-42"
    )
    return [f"{step.action} {step.handler} {step.run}" for step in steps], hints


def dead(journal: Journal) -> str:
    work = dispatched(journal, "work.told")
    dispatches.fail(journal, claimed(journal, work), "410 Gone", retry_in_seconds=None)
    return work


def test_a_dead_dispatch_runs_again_from_the_start_one_run_later(
    journal: Journal, clock: FixedClock
) -> None:
    work = dead(journal)
    clock.advance(60)

    done, hints = replayed(journal, "failed")

    assert done == ["replay notify 2"]
    assert [hint.dispatch_id for hint in hints] == [work]
    row = row_of(journal, work)
    assert (row.state, row.run, row.failures, row.due_at) == ("pending", 2, 0, clock.at)
    assert row.finished_at is None
    assert row.note == "replayed by ana: INC-42"
    finish(journal, work)
    assert outcomes(journal, work) == ["dead", "replayed", "succeeded"]


def test_the_mode_failed_leaves_alone_what_ended_well(journal: Journal) -> None:
    work = dispatched(journal, "work.free")
    finish(journal, work)

    done, hints = replayed(journal, "failed")

    assert (done, hints) == (["keep free 1"], [])
    assert row_of(journal, work).state == "succeeded"


def test_the_mode_all_takes_every_end(journal: Journal) -> None:
    finish(journal, dispatched(journal, "work.free"))
    dead(journal)

    done, _ = replayed(journal, "all")

    assert done == ["replay free 2", "replay notify 2"]


def test_only_the_named_handlers_are_replayed(journal: Journal) -> None:
    finish(journal, dispatched(journal, "work.free"))
    dead(journal)

    done, _ = replayed(journal, "all", handlers=["notify"])

    assert done == ["replay notify 2"]


def test_what_is_pending_is_brought_forward(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    finish(journal, work, Wait(clock.at + timedelta(hours=1), "waiting", check_seconds=600))

    done, hints = replayed(journal, "failed")

    assert done == ["bring_forward free 1"]
    assert [hint.dispatch_id for hint in hints] == [work]
    row = row_of(journal, work)
    assert (row.due_at, row.run, row.note) == (clock.at, 1, "waiting")
    assert outcomes(journal, work) == ["waiting"]


def test_what_is_running_is_refused_and_goes_on(journal: Journal) -> None:
    work = dispatched(journal, "work.free")
    mine = claimed(journal, work)

    done, hints = replayed(journal, "all")

    assert (done, hints) == (["refuse free 1"], [])
    dispatches.record(journal, mine, Done())


def test_what_the_routes_gained_since_is_inserted(
    journal: Journal, journal_url: str, clock: FixedClock
) -> None:
    finish(journal, dispatched(journal, "work.free"))
    newer = open_at(journal_url, clock, Routing({**ROUTES, "work.free": ("free", "annotate")}))

    assert replayed(newer, "failed")[0] == ["keep free 1"]
    done, hints = replayed(newer, "all")

    assert done == ["replay free 2", "insert annotate 1"]
    assert [hint.handler for hint in hints] == ["free", "annotate"]
    assert replayed(newer, "all")[0] == ["bring_forward free 2", "bring_forward annotate 1"]
    newer.close()


def test_our_own_writes_get_no_dispatch_by_a_replay(journal: Journal, clock: FixedClock) -> None:
    mine = claimed(journal, dispatched(journal, "work.production"))
    JournalLedger(journal, mine).intend([Intent(FRAUD, "", "alias:best", "1")])
    deliveries.record(journal, [alias_set("1", at=clock.at, id="d1")])
    [own] = events_in(journal, "model_version_alias.created")

    done, hints = replayed(journal, "all", own)

    assert (done, hints) == ([], [])


def test_a_plan_says_the_same_and_does_nothing(journal: Journal) -> None:
    work = dead(journal)
    finish(journal, dispatched(journal, "work.free"))
    before = row_of(journal, work)

    steps = replay.plan(journal, events_in(journal), handlers=None, mode="all")

    assert [(step.action, step.handler, step.run) for step in steps] == [
        ("replay", "notify", 2),
        ("replay", "free", 2),
    ]
    assert row_of(journal, work) == before
    assert rows_of(journal, audit) == []


def test_a_replay_is_audited_with_its_actor_and_reason(journal: Journal) -> None:
    dead(journal)

    replayed(journal, "failed")
    replayed(journal, "failed", *events_in(journal, "nothing.at.all") or events_in(journal))

    rows = rows_of(journal, audit)
    assert [(row.actor, row.verb, row.detail["reason"]) for row in rows] == [
        ("ana", "replay", "INC-42")
    ] * 2


def test_a_zombie_of_the_run_before_cannot_end_the_replayed_one(
    journal: Journal, clock: FixedClock
) -> None:
    from steward.errors import LeaseLostError

    work = dispatched(journal, "work.told")
    zombie = claimed(journal, work)
    for _ in range(3):
        clock.advance(61)
        sweeping.expire(journal, deaths_allowed=3)
        claim(journal, work)
    replayed(journal, "failed")
    heir = claimed(journal, work)

    with pytest.raises(LeaseLostError):
        dispatches.record(journal, zombie, Done())

    assert heir.work.run == 2
    dispatches.record(journal, heir, Done())
    assert outcomes(journal, work) == ["expired", "expired", "dead", "replayed", "succeeded"]


def test_events_are_chosen_by_filter_in_the_order_they_happened(journal: Journal) -> None:
    for _ in range(3):
        dead(journal)
    finish(journal, dispatched(journal, "work.free"))

    chosen = replay.choose(journal, EventFilter(status="dead"), limit=2)

    assert [event.id for event in chosen] == [event.id for event in events_in(journal)][:2]
