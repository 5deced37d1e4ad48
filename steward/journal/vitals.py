"""How the installation is doing, as the journal shows it: for metrics and health."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from steward.journal import counters, notices, processes
from steward.journal.processes import Process
from steward.journal.schema import attempts, dispatches, events, leases, polls
from steward.journal.store import Journal

UNFINISHED = ("pending", "running")


@dataclass(frozen=True, slots=True)
class Poll:
    """Where the polling of one registry stands."""

    registry: str
    completed_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at everything. Times are the database's.

    ``dispatches``: how many by (state, handler), for those that have not ended well;
    ``seen_by_poll``: events that no webhook told of, by type; ``leases``: holder by name;
    ``oldest_due_at``: since when something due has waited for a worker; ``notices``: texts by name;
    ``processes``: every row, also of those that died; ``counters``: what the sweep counted.
    """

    now: datetime
    dispatches: Mapping[tuple[str, str], int]
    oldest_unfinished_at: datetime | None
    oldest_due_at: datetime | None
    last_attempt_at: datetime | None
    seen_by_poll: Mapping[str, int]
    leases: Mapping[str, str]
    polls: tuple[Poll, ...]
    notices: Mapping[str, str]
    processes: tuple[Process, ...]
    counters: Mapping[str, int]

    def count(self, state: str) -> int:
        """Dispatches in one state."""
        return sum(count for (each, _), count in self.dispatches.items() if each == state)

    @property
    def living_processes(self) -> tuple[Process, ...]:
        """Processes that gave a sign lately."""
        return tuple(
            process
            for process in self.processes
            if self.now - process.seen_at <= processes.GONE_AFTER
        )

    def living(self, role: str, queue: str | None = None) -> tuple[Process, ...]:
        """Those of a role, and of a queue."""
        return tuple(
            process
            for process in self.living_processes
            if process.role == role and queue in (None, process.queue)
        )


def read(journal: Journal) -> Vitals:
    """Look, on one snapshot; cheap enough for every scrape."""
    table = dispatches.c
    with journal.read() as connection:
        now = journal.now(connection)
        counted = (
            select(table.state, table.handler, func.count())
            .where(table.state.in_((*UNFINISHED, "dead")))
            .group_by(table.state, table.handler)
        )
        by_state = {(state, name): count for state, name, count in connection.execute(counted)}
        oldest = select(func.min(table.created_at)).where(table.state.in_(UNFINISHED))
        due = select(func.min(table.due_at)).where(table.state == "pending", table.due_at <= now)
        # The literal lets the database use the partial index made for this question.
        polled = select(events.c.type, func.count()).where(text("seen = 2")).group_by(events.c.type)
        last = select(attempts.c.ended_at).order_by(attempts.c.id.desc()).limit(1)
        held = select(leases.c.name, leases.c.holder).where(leases.c.expires_at > now)
        return Vitals(
            now=now,
            dispatches=by_state,
            oldest_unfinished_at=connection.execute(oldest).scalar(),
            oldest_due_at=connection.execute(due).scalar(),
            last_attempt_at=connection.execute(last).scalar(),
            seen_by_poll={row[0]: row[1] for row in connection.execute(polled)},
            leases={row.name: row.holder for row in connection.execute(held)},
            polls=tuple(
                Poll(row.registry, row.completed_at, row.last_error)
                for row in connection.execute(select(polls).order_by(polls.c.registry))
            ),
            notices=notices.texts(connection),
            processes=processes.read(connection),
            counters=counters.read(connection),
        )
