"""One dispatch in a worker: claimed, handled, recorded; its lease lives as long as its handler."""

import threading

import pytest

from steward.events import Event
from steward.journal import sweeping
from steward.journal.store import Journal
from steward.ports import Done, Handler, Outcome, Services
from tests.servers import eventually
from tests.unit.journal_support import (
    FlakyJournal,
    dispatched,
    flaky,
    journal_url,
    migrated_journal_file,
    outcomes,
    row_of,
)
from workers.running import Runner

__all__ = ["flaky", "journal_url", "migrated_journal_file"]


def runner_of(journal: Journal, handler: Handler, *, lease_seconds: float) -> Runner:
    """A worker's runner whose only handler is this one."""
    return Runner(
        journal,
        owner="w",
        handlers=lambda _name: handler,
        services_for=lambda _claimed: None,  # type: ignore[arg-type,return-value]  # not used
        hint=lambda _hints: None,
        lease_seconds=lease_seconds,
    )


def test_a_heartbeat_that_fails_is_followed_by_the_next(flaky: FlakyJournal) -> None:
    began, may_end = threading.Event(), threading.Event()

    def slow(_event: Event, _services: Services) -> Outcome:
        began.set()
        may_end.wait(10)
        return Done()

    runner = runner_of(flaky, slow, lease_seconds=2)
    dispatch_id = dispatched(flaky, "work.free")
    running = threading.Thread(target=runner.run, args=(dispatch_id,))
    running.start()
    assert began.wait(5)

    flaky.failure, flaky.failures = OSError("the disk is full"), 1  # nobody expects it
    eventually(lambda: not flaky.failures, 5)
    until = row_of(flaky, dispatch_id).lease_until

    eventually(lambda: row_of(flaky, dispatch_id).lease_until > until, 5)
    may_end.set()
    running.join()
    runner.stop()
    assert outcomes(flaky, dispatch_id) == ["succeeded"]


def test_the_lease_of_a_handler_that_hangs_is_not_extended_for_ever(
    flaky: FlakyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.running.LONGEST_HANDLING_SECONDS", 0.0)
    began, may_end = threading.Event(), threading.Event()

    def hangs(_event: Event, _services: Services) -> Outcome:
        began.set()
        may_end.wait(20)
        return Done()

    runner = runner_of(flaky, hangs, lease_seconds=1.2)
    work = dispatched(flaky, "work.free")
    thread = threading.Thread(target=runner.run, args=(work,))
    thread.start()
    assert began.wait(10)

    expired = eventually(lambda: sweeping.expire(flaky, deaths_allowed=3)[0], 10)
    may_end.set()
    thread.join()
    runner.stop()

    assert expired == 1
    assert row_of(flaky, work).state == "pending"


def test_a_dispatch_that_hangs_and_is_taken_again_here_keeps_its_second_claim(
    flaky: FlakyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.running.LONGEST_HANDLING_SECONDS", 0.5)
    calls: list[threading.Event] = []

    def hangs(_event: Event, _services: Services) -> Outcome:
        calls.append(threading.Event())
        calls[-1].wait(20)
        return Done()

    runner = runner_of(flaky, hangs, lease_seconds=1.2)
    work = dispatched(flaky, "work.free")
    first, second = (threading.Thread(target=runner.run, args=(work,)) for _ in range(2))
    first.start()
    eventually(lambda: sweeping.expire(flaky, deaths_allowed=9)[0], 10)
    second.start()
    eventually(lambda: len(calls) == 2, 10)

    calls[0].set()
    first.join(10)

    assert not runner.is_idle
    calls[1].set()
    second.join(10)
    assert runner.is_idle
    assert runner.hung == 0
    runner.stop()
    assert outcomes(flaky, work) == ["expired", "succeeded"]


def test_who_is_about_to_claim_is_not_idle(
    flaky: FlakyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming, may_claim = threading.Event(), threading.Event()

    def slow_claim(*_args: object, **_more: object) -> None:
        claiming.set()
        may_claim.wait(10)

    monkeypatch.setattr("workers.running.claims.claim", slow_claim)
    runner = runner_of(flaky, lambda _event, _services: Done(), lease_seconds=60)
    thread = threading.Thread(target=runner.run, args=("one",))
    thread.start()
    assert claiming.wait(10)

    runner.stop()

    assert not runner.is_idle
    may_claim.set()
    thread.join(10)
    assert runner.is_idle
