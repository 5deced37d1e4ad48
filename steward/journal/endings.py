"""What every end of an attempt has in common: its record, its intents, its lane, its death."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from steward.events import EventType, NewEvent
from steward.journal.bulk import insert_many
from steward.journal.queries import event_of
from steward.journal.schema import attempts, dispatches, events, intents
from steward.journal.store import Transaction
from steward.journal.writing import EventWriter
from steward.ports import Hint

NOTIFY = "notify"  # the one handler whose death is not told by itself
# Built once: SQLAlchemy takes longer to build a statement than SQLite to execute it.
_CLOSE_INTENTS = (
    update(intents)
    .where(intents.c.dispatch_id == bindparam("b_dispatch_id"), intents.c.fulfilled_at.is_(None))
    .values(fulfilled_at=bindparam("b_now"))
)


@dataclass(frozen=True, slots=True)
class Try:
    """Which attempt of a dispatch ended."""

    dispatch_id: str
    run: int
    number: int
    owner: str | None
    started_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> "Try":
        """The one that a row of ``dispatches`` is at."""
        return cls(row.id, row.run, row.attempts, row.owner, row.claimed_at)


def write_attempt(transaction: Transaction, ended: Try, outcome: str, detail: str) -> None:
    """Write down one attempt; a wait that goes on for the same reason is counted, not repeated."""
    if outcome == "waiting" and _is_counted(transaction, ended, detail):
        return
    write_attempts(transaction, [ended], outcome, detail)


def write_attempts(
    transaction: Transaction, ended: Sequence[Try], outcome: str, detail: str
) -> None:
    """Write down attempts that all ended now, and in the same way."""
    rows = [
        {
            "dispatch_id": each.dispatch_id,
            "run": each.run,
            "number": each.number,
            "owner": each.owner,
            "started_at": each.started_at,
            "ended_at": transaction.now,
            "outcome": outcome,
            "detail": detail,
        }
        for each in ended
    ]
    insert_many(transaction.connection, attempts, rows)


def _is_counted(transaction: Transaction, ended: Try, detail: str) -> bool:
    connection = transaction.connection
    last = connection.execute(
        select(attempts)
        .where(attempts.c.dispatch_id == ended.dispatch_id)
        .order_by(attempts.c.id.desc())
        .limit(1)
    ).first()
    if not last or (last.outcome, last.detail, last.run) != ("waiting", detail, ended.run):
        return False
    connection.execute(
        update(attempts)
        .where(attempts.c.id == last.id)
        .values(ended_at=transaction.now, repeats=last.repeats + 1)
    )
    return True


def close_intents(transaction: Transaction, dispatch_id: str) -> None:
    """An intent ends with its dispatch, also a dead one's, which may have been written or not.

    Left open, it would make the same change by a person, months later, look like ours.
    """
    transaction.connection.execute(
        _CLOSE_INTENTS, {"b_dispatch_id": dispatch_id, "b_now": transaction.now}
    )


def record_death(transaction: Transaction, writer: EventWriter, row: Row[Any], error: str) -> None:
    if row.handler == NOTIFY:
        return  # a channel that is down would be told of itself: metrics and health say it
    event_row = transaction.connection.execute(
        select(events).where(events.c.id == row.event_id)
    ).one()
    event = event_of(event_row)
    writer.add(
        NewEvent(
            EventType.DISPATCH_DIED,
            event.model,
            event.version,
            data={
                "handler": row.handler,
                "target": row.target,
                "dispatch_id": row.id,
                "event_id": event.id,
                "event_type": event.type,
                "error": error,
                "attempts": row.attempts,
            },
            caused_by=event.id,
        ),
        seen=0,
        model_id=event_row.model_id,
    )


def hint_lane(transaction: Transaction, lane: str | None) -> None:
    """Who finishes looks for the lane's next."""
    if lane is None:
        return
    table = dispatches.c
    query = (
        select(table.id, table.handler, table.queue)
        .where(table.lane == lane, table.state == "pending", table.due_at <= transaction.now)
        .order_by(table.created_at, table.id)
        .limit(1)
    )
    row = transaction.connection.execute(query).first()
    if row and row.id not in {hint.dispatch_id for hint in transaction.hints}:
        transaction.hints.append(Hint(row.id, row.handler, row.queue))
