# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""Real threads and real processes on one database: the same promises as the interleavings."""

import multiprocessing
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from steward.errors import JournalUnavailableError, LeaseLostError
from steward.events import ModelRef
from steward.journal import claims, dispatches, sweeping
from steward.journal.claims import Claimed
from steward.journal.schema import attempts as attempts_table
from steward.journal.schema import dispatches as dispatches_table
from steward.journal.store import Journal
from steward.ports import Done, Skipped
from tests.unit.journal_support import (
    happened,
    journal_url,
    migrated_journal_file,
    open_at,
    rows_of,
)

MODELS = [ModelRef(f"m{number}") for number in range(8)]
LEASE_SECONDS = 3.0
PATIENCE_SECONDS = 200.0
ABANDONED_ONE_IN = 25
DISPATCHES = 100


@dataclass
class Seen:
    """What a worker saw of others in its lanes, and which of its claims it recorded."""

    together: list[tuple[str, str]] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    abandoned: int = 0


class Worker:
    """Takes hints in any order, forgets some of what it claims, and answers for those too late."""

    def __init__(self, journal: Journal, folder: Path, hints: list[str], seed: int) -> None:
        self.journal = journal
        self.folder = folder
        self.random = random.Random(seed)  # noqa: S311  # a shuffle
        self.hints = self.random.sample(hints, len(hints))
        self.abandoned: list[Claimed] = []
        self.seen = Seen()

    def run(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.is_work_left() and time.monotonic() < deadline:
            while self.hints:
                self.take(self.hints.pop())
            self.sweep()
        self.answer_too_late()

    def take(self, dispatch_id: str) -> None:
        try:
            mine = claims.claim(
                self.journal, dispatch_id, str(os.getpid()), lease_seconds=LEASE_SECONDS
            )
            if mine is not None:
                self.work_on(mine)
        except (JournalUnavailableError, LeaseLostError):
            return  # the disk or this machine stood still: the sweep hints it again

    def work_on(self, mine: Claimed) -> None:
        if self.random.randrange(ABANDONED_ONE_IN) == 0 and mine.attempt == 1:
            self.abandoned.append(mine)
            self.seen.abandoned += 1
            return
        with self.inside(mine):
            pass
        hints = dispatches.record(self.journal, mine, Done())
        self.seen.recorded.add(_name(mine))
        self.hints += [hint.dispatch_id for hint in hints]

    @contextmanager
    def inside(self, mine: Claimed) -> Iterator[None]:
        """Leave a file in the lane's folder, and look who else has one there."""
        if mine.work.lane is None:
            yield
            return
        lane = self.folder / mine.work.lane.replace("/", "-")
        lane.mkdir(exist_ok=True)
        ours = lane / _name(mine)
        ours.touch()
        others = [each.name for each in lane.iterdir() if each != ours]
        self.seen.together += [(ours.name, other) for other in others]
        yield
        ours.unlink()

    def sweep(self) -> None:
        try:
            _, hints = sweeping.expire(self.journal, deaths_allowed=9)
            hints += sweeping.due(self.journal)
        except JournalUnavailableError:
            return
        self.hints += [hint.dispatch_id for hint in hints]

    def answer_too_late(self) -> None:
        for zombie in self.abandoned:
            try:
                dispatches.record(self.journal, zombie, Skipped("too late"))
            except LeaseLostError:
                continue
            self.seen.violations.append(f"{zombie.work.dispatch_id} was recorded by a zombie")

    def is_work_left(self) -> bool:
        with self.journal.read() as connection:
            query = select(dispatches_table.c.id).where(
                dispatches_table.c.state.in_(["pending", "running"])
            )
            return connection.execute(query.limit(1)).first() is not None


def _name(mine: Claimed) -> str:
    return f"{mine.work.dispatch_id}.{mine.token}"


def two_at_once(all_seen: Iterable[Seen]) -> list[tuple[str, str]]:
    """Who was in a lane with another and recorded, as the other did.

    Who stands still for longer than its lease is overtaken there, and must record nothing.
    """
    seen = list(all_seen)
    recorded = {name for each in seen for name in each.recorded}
    return [pair for each in seen for pair in each.together if recorded.issuperset(pair)]


def filled(journal: Journal) -> list[str]:
    """Hints of much work in few lanes, and of some without."""
    hints = []
    for number in range(DISPATCHES):
        kind = "work.free" if number % 5 == 0 else "work.production"
        hints += happened(journal, kind, model=MODELS[number % len(MODELS)])
    made = [hint.dispatch_id for hint in hints]
    return [each for number, each in enumerate(made) if number % 20]  # one in twenty is lost


def assert_all_done_once_and_in_order(journal: Journal) -> None:
    rows = {row.id: row for row in rows_of(journal, dispatches_table)}
    ends = [row for row in rows_of(journal, attempts_table) if row.outcome != "expired"]
    done = defaultdict(list)
    for end in ends:
        done[rows[end.dispatch_id].lane].append(end.dispatch_id)

    assert {row.state for row in rows.values()} == {"succeeded"}
    assert sorted(end.dispatch_id for end in ends) == sorted(rows)
    for lane, ids in done.items():
        if lane is not None:
            assert ids == sorted(ids, key=lambda each: (rows[each].created_at, each))


def test_threads_of_one_process_do_everything_once_and_in_order(
    journal_url: str, tmp_path: Path
) -> None:
    journal = open_at(journal_url)
    hints = filled(journal)
    workers = [Worker(journal, tmp_path, hints, seed) for seed in range(4)]
    threads = [threading.Thread(target=worker.run) for worker in workers]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS + 10)

    assert [thread for thread in threads if thread.is_alive()] == []
    assert [worker.seen.violations for worker in workers] == [[], [], [], []]
    assert two_at_once(worker.seen for worker in workers) == []
    assert any(worker.abandoned for worker in workers)
    assert_all_done_once_and_in_order(journal)
    journal.close()


def _work(url: str, folder: str, hints: list[str], seed: int, answers: Any) -> None:
    journal = open_at(url)
    worker = Worker(journal, Path(folder), hints, seed)
    worker.run()
    answers.put(worker.seen)
    journal.close()


def test_processes_on_one_database_do_everything_once_and_in_order(
    journal_url: str, tmp_path: Path
) -> None:
    journal = open_at(journal_url)
    hints = filled(journal)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [
        context.Process(target=_work, args=(journal_url, str(tmp_path), hints, seed, answers))
        for seed in range(2)
    ]

    for process in processes:
        process.start()
    told = [answers.get(timeout=PATIENCE_SECONDS + 30) for _ in processes]
    for process in processes:
        process.join(10)

    assert [seen.violations for seen in told] == [[], []]
    assert two_at_once(told) == []
    assert sum(seen.abandoned for seen in told) > 0
    assert_all_done_once_and_in_order(journal)
    journal.close()
