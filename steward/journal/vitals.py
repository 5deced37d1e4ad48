"""How the installation is doing, as the journal shows it: for metrics and health."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from steward.journal import counters, notices, processes
from steward.journal.processes import Process
from steward.journal.schema import attempts, dispatches, leases, polls
from steward.journal.store import Journal

UNFINISHED = ("pending", "running")
COUNTED = 50_000
"""No count goes beyond this: a scrape must not read millions of rows."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Where the polling of one registry stands."""

    registry: str
    completed_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at everything. Times are the database's.

    ``dispatches``: how many by (state, handler), for those that have not ended well (of each state
    at most ``COUNTED``); ``seen_by_poll``: events that no webhook told of, by type; ``leases``:
    holder by name;
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
    """Look, on one snapshot; cheap enough for every scrape, also of a large journal."""
    with journal.read() as connection:
        now = journal.now(connection)
        last = select(attempts.c.ended_at).order_by(attempts.c.id.desc()).limit(1)
        held = select(leases.c.name, leases.c.holder).where(leases.c.expires_at > now)
        open_since, due_since = _oldest(connection, now)
        counted, polled = counters.read(connection)
        return Vitals(
            now=now,
            dispatches=_dispatches(connection),
            oldest_unfinished_at=open_since,
            oldest_due_at=due_since,
            last_attempt_at=connection.execute(last).scalar(),
            seen_by_poll=polled,
            leases={row.name: row.holder for row in connection.execute(held)},
            polls=tuple(
                Poll(row.registry, row.completed_at, row.last_error)
                for row in connection.execute(select(polls).order_by(polls.c.registry))
            ),
            notices=notices.texts(connection),
            processes=processes.read(connection),
            counters=counted,
        )


def _dispatches(connection: Connection) -> dict[tuple[str, str], int]:
    table = dispatches.c
    found: dict[tuple[str, str], int] = {}
    for state in (*UNFINISHED, "dead"):
        some = select(table.handler).where(table.state == state).limit(COUNTED).subquery()
        counted = select(some.c.handler, func.count()).group_by(some.c.handler)
        found |= {(state, handler): count for handler, count in connection.execute(counted)}
    return found


def _oldest(connection: Connection, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Since when the oldest is unfinished, and since when the oldest that is due has waited."""
    table = dispatches.c
    oldest = select(func.min(table.created_at)).where(table.state.in_(UNFINISHED))
    due = select(func.min(table.due_at)).where(table.state == "pending", table.due_at <= now)
    return connection.execute(oldest).scalar(), connection.execute(due).scalar()
