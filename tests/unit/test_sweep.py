"""The sweep is the clock of every retry: whatever fails in one round, the next one comes."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from steward.errors import JournalUnavailableError
from steward.journal import leases
from steward.journal.retention import Keep
from steward.journal.store import Journal
from steward.ports import Hint
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    dispatched,
    finish,
    journal,
    journal_url,
    migrated_journal_file,
    outcomes,
)
from workers.sweep import Sweep

__all__ = ["journal", "journal_url", "migrated_journal_file"]


def sweeping(journal: Journal, hint: Callable[[list[Hint]], None]) -> Sweep:
    return Sweep(journal, holder="here", hint=hint, interval_seconds=0.001)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [JournalUnavailableError("away"), OSError("the disk is full")])
def test_a_round_that_fails_is_followed_by_the_next(journal: Journal, error: Exception) -> None:
    rounds = []
    stop = threading.Event()

    def hint(_hints: list[Hint]) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise error
        stop.set()

    sweeping(journal, hint).run(stop)

    assert len(rounds) == 2
    assert leases.holders(journal) == {}


def test_what_is_due_is_hinted(journal: Journal, clock: FixedClock) -> None:
    dispatch_id = dispatched(journal, "work.free")
    clock.advance(6)
    hinted: list[Hint] = []

    assert sweeping(journal, hinted.extend).sweep_once() == 1

    assert [hint.dispatch_id for hint in hinted] == [dispatch_id]


def test_the_leader_lets_old_rows_age_out(journal: Journal, clock: FixedClock) -> None:
    done = dispatched(journal, "work.free")
    finish(journal, done)
    clock.advance(timedelta(days=31).total_seconds())
    keep = Keep.days(bodies=90, attempts=30)

    Sweep(journal, holder="here", hint=lambda _: None, interval_seconds=1, keep=keep).sweep_once()

    assert outcomes(journal, done) == []
