# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""Any order of claims, crashes, lost hints, late finishes and replays: nothing stranded or twice.

Hypothesis drives several workers against one real journal under a clock of its own, and shrinks
what it finds to the shortest story.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from steward.errors import LeaseLostError
from steward.events import ModelRef, NewEvent
from steward.journal import claims, dispatches, replay, sweeping
from steward.journal.claims import Claimed
from steward.journal.schema import attempts as attempts_table
from steward.journal.schema import dispatches as dispatches_table
from steward.ports import Done, Hint, Skipped, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    LEASE_SECONDS,
    FreshJournal,
    events_in,
    fresh_journal,
    happened,
    migrated_journal_file,
    open_at,
    rows_of,
)

ALLOWED = 3
ENDS = ("succeeded", "skipped", "dead")
ENDINGS = ("done", "facts", "skip", "wait", "retry", "die", "release")
MODELS = [ModelRef("a"), ModelRef("b")]
ROUNDS_TO_DRAIN = 12
ROUND_SECONDS = 61


class Workers:
    """Workers that crash, a broker that loses hints, and a sweep that is often late."""

    def __init__(self, url: str) -> None:
        self.clock = FixedClock()
        self.journal = open_at(url, self.clock)
        if self.journal.engine.dialect.name == "sqlite":
            event.listen(self.journal.engine, "connect", _trust_the_disk)
        self.broker: list[str] = []
        self.held: list[Claimed] = []  # what workers believe they hold, dead and slow ones too
        self.living: dict[str, Claimed] = {}  # what they do hold
        self.leases: dict[str, datetime] = {}
        self.expired: Counter[tuple[str, int]] = Counter()  # leases, by dispatch and run
        self.deaths = 0

    def close(self) -> None:
        self.journal.close()

    # -- what happens: each step gets a number to choose by, and whether its hints are lost --------

    def event_comes(self, number: int, *, is_lost: bool) -> None:
        kind = ["work.production", "work.production", "work.free", "work.told"][number % 4]
        model = MODELS[number // 4 % len(MODELS)]
        self.send(happened(self.journal, kind, model=model, version="1"), is_lost=is_lost)

    def time_passes(self, number: int, *, is_lost: bool) -> None:
        self.clock.advance([0.5, 5, 31, 130][number % 4])

    def worker_takes_a_hint(self, number: int, *, is_lost: bool) -> None:
        if self.broker:
            dispatch_id = self.broker.pop(number % len(self.broker))
            self.claim(dispatch_id)
            self.broker += [dispatch_id] * (number % 3 == 0)  # delivered twice

    def worker_finishes(self, number: int, *, is_lost: bool) -> None:
        if self.held:
            mine = self.held.pop(number % len(self.held))
            self.finish(mine, ENDINGS[number % len(ENDINGS)], is_lost=is_lost)

    def worker_crashes(self, number: int, *, is_lost: bool) -> None:
        if self.held:
            self.held.pop(number % len(self.held))

    def worker_says_it_lives(self, number: int, *, is_lost: bool) -> None:
        if not self.held:
            return
        mine = self.held[number % len(self.held)]
        if self.is_ours(mine):
            claims.heartbeat(self.journal, mine, lease_seconds=LEASE_SECONDS)
            self.leases[mine.work.dispatch_id] = self.lease_end()
        else:
            with pytest.raises(LeaseLostError):
                claims.heartbeat(self.journal, mine, lease_seconds=LEASE_SECONDS)

    def slow_worker_loses_its_lease_to_another(self, number: int, *, is_lost: bool) -> None:
        if self.held:
            self.clock.advance(LEASE_SECONDS + 1)
            self.sweep(is_lost=is_lost)
            self.claim(self.held[number % len(self.held)].work.dispatch_id)

    def sweep_comes_round(self, number: int, *, is_lost: bool) -> None:
        self.sweep(is_lost=is_lost)

    def operator_replays(self, number: int, *, is_lost: bool) -> None:
        chosen = events_in(self.journal)[-3:]
        mode: replay.Mode = "all" if number % 2 else "failed"
        _, hints = replay.apply(
            self.journal, chosen, handlers=None, mode=mode, actor="ana", reason="again"
        )
        self.send(hints, is_lost=is_lost)

    def broker_is_emptied(self, number: int, *, is_lost: bool) -> None:
        self.broker.clear()

    # -- what must hold ----------------------------------------------------------------------------

    def what_runs_is_what_is_held_and_one_a_lane(self) -> None:
        running = [row for row in self.rows() if row.state == "running"]
        lanes = Counter(row.lane for row in running if row.lane)

        assert {row.id: row.token for row in running} == {
            key: mine.token for key, mine in self.living.items()
        }
        assert all(count == 1 for count in lanes.values())

    def each_run_ends_once_and_every_attempt_is_written_down(self) -> None:
        written: dict[tuple[str, int], Counter[str]] = {}
        for row in rows_of(self.journal, attempts_table):
            counted = written.setdefault((row.dispatch_id, row.run), Counter())
            counted[row.outcome] += row.repeats
        for row in self.rows():
            runs = [written.get((row.id, run), Counter()) for run in range(1, row.run + 1)]
            ends = [sum(run[end] for end in ENDS) for run in runs]
            tries = sum(run.total() - run["replayed"] for run in runs)

            assert ends == [1] * (row.run - 1) + [int(row.state in ENDS)]
            assert tries + (row.state == "running") == row.attempts
            assert row.failures == sum(runs[-1][word] for word in ("failed", "expired", "dead"))

    def every_death_is_told_but_that_of_notify(self) -> None:
        assert len(events_in(self.journal, "dispatch.died")) == self.deaths

    def check(self) -> None:
        self.what_runs_is_what_is_held_and_one_a_lane()
        self.each_run_ends_once_and_every_attempt_is_written_down()
        self.every_death_is_told_but_that_of_notify()

    def everything_comes_to_an_end(self) -> None:
        """With a live worker and the sweep, and every hint so far lost."""
        self.broker.clear()
        for _ in range(ROUNDS_TO_DRAIN):
            self.clock.advance(ROUND_SECONDS)
            self.sweep(is_lost=False)
            while self.broker:
                mine = self.claim(self.broker.pop())
                if mine:
                    self.finish(mine, "done", is_lost=False)
        assert {row.state for row in self.rows()} <= set(ENDS)
        self.check()

    # -- how ---------------------------------------------------------------------------------------

    def rows(self) -> list[Any]:
        return rows_of(self.journal, dispatches_table)

    def send(self, hints: list[Hint], *, is_lost: bool) -> None:
        if not is_lost:
            self.broker += [hint.dispatch_id for hint in hints]

    def lease_end(self) -> datetime:
        return self.clock.at + timedelta(seconds=LEASE_SECONDS)

    def is_ours(self, mine: Claimed) -> bool:
        return self.living.get(mine.work.dispatch_id) is mine

    def expected(self, dispatch_id: str) -> str | None:
        """Whom a claim must take: the lane's oldest due, or the one named."""
        with self.journal.read() as connection:
            query = select(dispatches_table).where(dispatches_table.c.id == dispatch_id)
            named = connection.execute(query).one()
        rows = self.rows()
        if named.lane and any(row.lane == named.lane and row.state == "running" for row in rows):
            return None
        takeable = [
            row
            for row in rows
            if row.state == "pending"
            and row.due_at <= self.clock.at
            and (row.lane == named.lane if named.lane else row.id == dispatch_id)
        ]
        return min(takeable, key=lambda row: (row.created_at, row.id)).id if takeable else None

    def claim(self, dispatch_id: str) -> Claimed | None:
        expected = self.expected(dispatch_id)
        mine = claims.claim(self.journal, dispatch_id, "w", lease_seconds=LEASE_SECONDS)
        assert (mine.work.dispatch_id if mine else None) == expected
        if mine:
            self.held.append(mine)
            self.living[mine.work.dispatch_id] = mine
            self.leases[mine.work.dispatch_id] = self.lease_end()
        return mine

    def finish(self, mine: Claimed, ending: str, *, is_lost: bool) -> None:
        if not self.is_ours(mine):
            with pytest.raises(LeaseLostError):
                self.end(mine, ending)
            return
        hints = self.end(mine, ending)
        del self.living[mine.work.dispatch_id]
        self.deaths += ending == "die" and mine.work.handler != "notify"
        self.send(hints, is_lost=is_lost)

    def end(self, mine: Claimed, ending: str) -> list[Hint]:
        if ending == "retry":
            return dispatches.fail(self.journal, mine, "away", retry_in_seconds=30)
        if ending == "die":
            return dispatches.fail(self.journal, mine, "broken", retry_in_seconds=None)
        if ending == "release":
            return dispatches.release(self.journal, mine)
        later = self.clock.at + timedelta(minutes=5)
        outcome = {
            "done": Done(),
            "facts": Done(events=(NewEvent("work.free"), NewEvent("work.production"))),
            "skip": Skipped("nothing to do"),
            "wait": Wait(later, "not yet", check_seconds=120, then=("annotate",)),
        }[ending]
        return dispatches.record(self.journal, mine, outcome)

    def sweep(self, *, is_lost: bool) -> None:
        late = [key for key in self.living if self.leases[key] < self.clock.at]
        for key in late:
            mine = self.living.pop(key)
            self.expired[key, mine.work.run] += 1  # failures that were told do not count here
            is_dead = self.expired[key, mine.work.run] >= ALLOWED
            self.deaths += is_dead and mine.work.handler != "notify"
        count, hints = sweeping.expire(self.journal, deaths_allowed=ALLOWED)
        assert count == len(late)
        self.send(hints + sweeping.due(self.journal), is_lost=is_lost)


def _trust_the_disk(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # no power cut is tried here


STEPS = [
    *[Workers.event_comes] * 3,
    *[Workers.worker_takes_a_hint] * 6,
    *[Workers.worker_finishes] * 4,
    *[Workers.slow_worker_loses_its_lease_to_another] * 2,
    *[Workers.sweep_comes_round] * 2,
    Workers.time_passes,
    Workers.worker_crashes,
    Workers.worker_says_it_lives,
    Workers.operator_replays,
    Workers.broker_is_emptied,
]
STORIES = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 999), st.booleans()), min_size=20, max_size=50
)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(story=STORIES)
def test_whatever_happens_nothing_is_stranded_lost_or_done_twice(
    fresh_journal: FreshJournal, story: list[tuple[Callable[..., None], int, bool]]
) -> None:
    with fresh_journal() as url:
        workers = Workers(url)
        try:
            workers.event_comes(0, is_lost=False)
            for step, number, is_lost in story:
                step(workers, number, is_lost=is_lost)
                workers.check()
            workers.everything_comes_to_an_end()
        finally:
            workers.close()
