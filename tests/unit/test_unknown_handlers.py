"""A newer Steward dispatches to a handler that an older worker lacks: it is left, not killed."""

from collections.abc import Iterator

import pytest

from steward.events import Event
from steward.journal import claims
from steward.journal.store import Journal
from steward.ports import Done, Outcome, Services
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    LEASE_SECONDS,
    dispatched,
    journal,
    journal_url,
    migrated_journal_file,
    outcomes,
    row_of,
)
from workers.running import Runner

__all__ = ["journal", "journal_url", "migrated_journal_file"]


@pytest.fixture
def old_worker(journal: Journal) -> Iterator[Runner]:
    def handle(_event: Event, _services: Services) -> Outcome:
        return Done()

    runner = Runner(
        journal,
        owner="old",
        handlers={"confirm": handle, "notify": handle}.__getitem__,
        services_for=lambda _claimed: None,  # type: ignore[arg-type,return-value]  # not used
        hint=lambda _hints: None,
        lease_seconds=LEASE_SECONDS,
        known={"confirm", "notify"},
    )
    yield runner
    runner.stop()


def test_what_it_does_not_know_stays_pending_with_no_failure_counted(
    journal: Journal, old_worker: Runner
) -> None:
    work = dispatched(journal, "work.free")

    for _ in range(5):
        old_worker.run(work)

    row = row_of(journal, work)
    assert (row.state, row.failures, row.attempts, row.owner) == ("pending", 0, 0, None)
    assert outcomes(journal, work) == []


def test_what_it_knows_waits_for_what_is_before_it_in_the_lane(
    journal: Journal, old_worker: Runner, clock: FixedClock
) -> None:
    before = dispatched(journal, "work.production")
    clock.advance(1)
    after = dispatched(journal, "model_version_alias.created")

    old_worker.run(after)

    assert [row_of(journal, each).state for each in (before, after)] == ["pending", "pending"]
    new = claims.claim(journal, after, "new", lease_seconds=LEASE_SECONDS)
    assert new is not None
    assert new.work.dispatch_id == before


def test_what_it_knows_in_other_lanes_goes_on(journal: Journal, old_worker: Runner) -> None:
    dispatched(journal, "work.production")
    known = dispatched(journal, "work.told")

    old_worker.run(known)

    assert row_of(journal, known).state == "succeeded"
