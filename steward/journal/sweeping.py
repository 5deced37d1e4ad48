"""What the sweep does each second: leases that ended come back, what is due is hinted."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select, update

from steward.journal import counters
from steward.journal.endings import Try, close_intents, hint_lane, record_death, write_attempt
from steward.journal.schema import attempts, dispatches
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import FIRST_HINT_PATIENCE, EventWriter
from steward.ports import Hint

LONGEST_PATIENCE = timedelta(seconds=60)
WINDOW = 200
"""Hints of one handler that may wait for workers; more would only be repeated before their turn."""
BACKLOG = 50
"""So many of one handler that wait are a backlog, which lets new work go first."""


@retried
def expire(journal: Journal, *, deaths_allowed: int) -> tuple[int, list[Hint]]:
    """Take back what expired leases hold; what ended that many workers in a run is dead."""
    table = dispatches.c
    with journal.read() as connection:  # nearly always there is none: write nothing then
        ended = select(table.id).where(
            table.state == "running", table.lease_until < journal.now(connection)
        )
        if connection.execute(ended.limit(1)).first() is None:
            return 0, []
    with journal.write() as transaction:
        query = select(dispatches).where(
            table.state == "running", table.lease_until < transaction.now
        )
        rows = transaction.connection.execute(query.with_for_update(skip_locked=True)).all()
        writer = EventWriter(journal, transaction)
        for row in rows:
            error = f"the worker {row.owner} stopped answering; its lease ended"
            is_dead = _expired_before(transaction, row) + 1 >= deaths_allowed
            _take_back(transaction, row, error, is_dead=is_dead)
            if is_dead:
                close_intents(transaction, row.id)
                record_death(transaction, writer, row, error)
                hint_lane(transaction, row.lane)
            else:
                transaction.hints.append(Hint(row.id, row.handler, row.queue))
        counters.add(transaction, counters.EXPIRED_LEASES, len(rows))
        writer.flush()
    return len(rows), transaction.hints


def _expired_before(transaction: Transaction, row: Row[Any]) -> int:
    query = select(func.count()).where(
        attempts.c.dispatch_id == row.id,
        attempts.c.run == row.run,
        attempts.c.outcome == "expired",
    )
    return transaction.connection.execute(query).scalar_one()


def _take_back(transaction: Transaction, row: Row[Any], error: str, *, is_dead: bool) -> None:
    values: dict[str, Any] = {
        "state": "dead" if is_dead else "pending",
        "note": error,
        "failures": row.failures + 1,
        "owner": None,
        "lease_until": None,
        "wait_until": None,
        "token": row.token + 1,  # the worker may only have stood still: it records nothing more
        "due_at": transaction.now,
        "hint_at": transaction.now + FIRST_HINT_PATIENCE,
        "finished_at": transaction.now if is_dead else None,
    }
    write_attempt(transaction, Try.of(row), "dead" if is_dead else "expired", error)
    transaction.connection.execute(
        update(dispatches).where(dispatches.c.id == row.id).values(values)
    )


@retried
def due(journal: Journal, *, limit: int = 500) -> list[Hint]:
    """Dispatches to hint now: a retry or wait that came due, or a hint that nobody answered.

    An unanswered hint is repeated after 5, 10, 20 ... at most 60 seconds, and of each handler only
    so many wait at once, so that a long backlog does not fill the broker with copies. A dispatch
    whose lane is busy is left to who finishes. What is replayed, and what is of a backlog, lets new
    work go first.
    """
    with journal.read() as connection:
        now = journal.now(connection)
        if connection.execute(_query(limit=1), {"now": now}).first() is None:
            return []
    with journal.write() as transaction:
        waiting = _waiting(transaction)
        rows = [row for row in _due(transaction, waiting, limit) if _has_room(waiting, row)]
        again = [
            {
                "b_id": row.id,
                "b_hints": row.hints + 1,
                "b_hint_at": transaction.now + _patience(row.hints + 1),
            }
            for row in rows
        ]
        if again:
            _mark(transaction, again)
            unanswered = sum(row.hints > 0 or row.hint_at > row.due_at for row in rows)
            counters.add(transaction, counters.REDELIVERED_HINTS, unanswered)
    return [
        Hint(
            row.id,
            row.handler,
            row.queue,
            is_patient=_is_replayed(row) or waiting[row.handler] >= BACKLOG,
        )
        for row in rows
    ]


def _is_replayed(row: Row[Any]) -> bool:
    """Also what a replay inserted: who makes a dispatch otherwise makes it due at once."""
    return bool(row.run > 1 or (row.attempts == 0 and row.due_at > row.created_at))


def _waiting(transaction: Transaction) -> Counter[str]:
    """How many hints of each handler nobody has answered yet, nor need have."""
    table = dispatches.c
    query = (
        select(table.handler, func.count())
        .where(table.state == "pending", table.hint_at > transaction.now, table.hints > 0)
        .group_by(table.handler)
    )
    return Counter({row[0]: row[1] for row in transaction.connection.execute(query)})


def _due(transaction: Transaction, waiting: Counter[str], limit: int) -> list[Row[Any]]:
    """The oldest that are due, of handlers with room; where they are many, some of the newest too.

    Those are what no sweep has hinted: the hint of something new got lost, and would wait longest.
    """
    full = [name for name, count in waiting.items() if count >= WINDOW]
    query = _query(limit=limit).where(dispatches.c.handler.not_in(full))
    # What another transaction holds is claimed by it, or hinted after its commit.
    query = query.with_for_update(of=dispatches, skip_locked=True)
    now = {"now": transaction.now}
    rows = list(transaction.connection.execute(query, now))
    if len(rows) == limit:
        newest = query.where(dispatches.c.hints == 0).order_by(None)
        newest = newest.order_by(dispatches.c.hint_at.desc()).limit(limit // 10)
        first = list(transaction.connection.execute(newest, now))
        known = {row.id for row in first}
        rows = first + [row for row in rows if row.id not in known]
    return rows[:limit]


def _has_room(waiting: Counter[str], row: Row[Any]) -> bool:
    """Take one of the places of its handler, if one is left."""
    waiting[row.handler] += 1
    return waiting[row.handler] <= WINDOW


def _patience(hints: int) -> timedelta:
    return min(FIRST_HINT_PATIENCE * (1 << min(hints - 1, 10)), LONGEST_PATIENCE)


def _mark(transaction: Transaction, again: list[dict[str, object]]) -> None:
    transaction.connection.execute(
        update(dispatches)
        .where(dispatches.c.id == bindparam("b_id"), dispatches.c.state == "pending")
        .values(hints=bindparam("b_hints"), hint_at=bindparam("b_hint_at")),
        again,
    )


def _query(
    *, limit: int
) -> Select[tuple[str, str, str, int, datetime, datetime, int, int, datetime]]:
    table = dispatches.c
    busy = dispatches.alias("busy")
    is_lane_busy = (
        select(busy.c.id).where(busy.c.lane == table.lane, busy.c.state == "running").exists()
    )
    now = bindparam("now", type_=table.hint_at.type)
    return (
        select(
            table.id,
            table.handler,
            table.queue,
            table.hints,
            table.hint_at,
            table.due_at,
            table.run,
            table.attempts,
            table.created_at,
        )
        .where(table.state == "pending", table.hint_at <= now, table.due_at <= now, ~is_lane_busy)
        .order_by(table.hint_at)
        .limit(limit)
    )
