"""Who runs, as the journal knows it: signs, clocks, and what the sweep counts."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from steward.journal import processes, sweeping, vitals
from steward.journal.processes import Canary, Presence
from steward.journal.store import Journal
from steward.ports import Clock, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    claimed,
    dispatched,
    finish,
    journal,
    journal_url,
    migrated_journal_file,
)

__all__ = ["journal", "journal_url", "migrated_journal_file"]


class Skewed:
    """A clock that is ahead of another."""

    def __init__(self, clock: FixedClock, seconds: float) -> None:
        self._clock, self._ahead = clock, timedelta(seconds=seconds)

    def now(self):
        return self._clock.now() + self._ahead


@pytest.fixture
def presence(journal: Journal, clock: FixedClock) -> Iterator[Presence]:
    presence = present(journal, clock)
    yield presence
    presence.close()


def present(journal: Journal, clock: Clock, name: str = "worker@here:1", **more) -> Presence:
    wishes = {"role": "worker", "queue": "default", "clock": clock, **more}
    return Presence(journal, name=name, **wishes)


def test_a_process_that_signs_is_living(
    journal: Journal, presence: Presence, clock: FixedClock
) -> None:
    presence.sign()
    began = clock.now()
    clock.advance(15)
    presence.sign()

    [row] = vitals.read(journal).living("worker", "default")

    assert (row.name, row.started_at, row.seen_at) == ("worker@here:1", began, clock.now())
    assert vitals.read(journal).living("worker", "validation") == ()
    assert row.clock_skew_seconds == pytest.approx(0, abs=1)


def test_without_signs_it_is_not_living_any_more_and_after_a_day_it_is_forgotten(
    journal: Journal, presence: Presence, clock: FixedClock
) -> None:
    presence.sign()

    clock.advance(60)
    assert vitals.read(journal).living("worker") == ()
    assert len(vitals.read(journal).processes) == 1

    clock.advance(86_400)
    another = present(journal, clock, "worker@here:2")
    another.sign()
    assert [each.name for each in vitals.read(journal).processes] == ["worker@here:2"]
    another.close()


def test_a_clean_end_leaves_no_row(journal: Journal, clock: FixedClock) -> None:
    presence = present(journal, clock)
    presence.sign()

    presence.close()

    assert vitals.read(journal).processes == ()


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 2.0])
def test_the_skew_of_a_clock_is_measured_against_the_databases(
    journal: Journal, clock: FixedClock, seconds: float
) -> None:
    presence = present(journal, Skewed(clock, seconds))

    presence.sign()

    [row] = vitals.read(journal).processes
    assert row.clock_skew_seconds == pytest.approx(seconds, abs=1)


def test_canaries_are_told_in_the_databases_time(journal: Journal, clock: FixedClock) -> None:
    presence = present(journal, clock, canary=lambda: Canary(1.0, 40.0))

    presence.sign()

    [row] = vitals.read(journal).processes
    assert row.published_at == clock.now() - timedelta(seconds=1)
    assert row.canary_at == clock.now() - timedelta(seconds=40)


def test_a_hint_that_nobody_answered_is_counted_when_it_is_sent_again(
    journal: Journal, clock: FixedClock
) -> None:
    dispatched(journal, "work.free")
    clock.advance(6)

    for _ in range(2):
        sweeping.due(journal)
        clock.advance(30)

    assert vitals.read(journal).counters["redelivered_hints"] == 2


def test_the_first_hint_of_a_retry_is_no_redelivery(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    finish(journal, work, Wait(clock.now() + timedelta(seconds=60), "evidence"))
    clock.advance(16)

    assert [hint.dispatch_id for hint in sweeping.due(journal)] == [work]

    assert vitals.read(journal).counters["redelivered_hints"] == 0


def test_leases_that_ended_are_counted(journal: Journal, clock: FixedClock) -> None:
    claimed(journal, dispatched(journal, "work.free"))
    claimed(journal, dispatched(journal, "work.told"))
    clock.advance(61)

    sweeping.expire(journal, deaths_allowed=3)

    assert vitals.read(journal).counters["expired_leases"] == 2


def test_a_process_counts_as_gone_only_after_several_missed_signs() -> None:
    assert timedelta(seconds=3 * processes.SIGN_EVERY_SECONDS) < processes.GONE_AFTER
