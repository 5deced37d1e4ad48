"""What every end of an attempt has in common: its record, its intents, its lane, its death."""

from typing import Any

from sqlalchemy import Row, insert, select, update

from steward.events import EventType, NewEvent
from steward.journal.queries import event_of
from steward.journal.schema import attempts, dispatches, events, intents
from steward.journal.store import Transaction
from steward.journal.writing import EventWriter
from steward.ports import Hint

NOTIFY = "notify"  # the one handler whose death is not told by itself


def write_attempt(
    transaction: Transaction, row: Row[Any], outcome: str, detail: str, owner: str | None = None
) -> None:
    """Write down one attempt; a wait that goes on for the same reason is counted, not repeated."""
    connection = transaction.connection
    if outcome == "waiting":
        last = connection.execute(
            select(attempts)
            .where(attempts.c.dispatch_id == row.id)
            .order_by(attempts.c.id.desc())
            .limit(1)
        ).first()
        if last and (last.outcome, last.detail, last.run) == (outcome, detail, row.run):
            connection.execute(
                update(attempts)
                .where(attempts.c.id == last.id)
                .values(ended_at=transaction.now, repeats=last.repeats + 1)
            )
            return
    connection.execute(
        insert(attempts).values(
            dispatch_id=row.id,
            run=row.run,
            number=row.attempts,
            owner=owner or row.owner,
            started_at=row.claimed_at,
            ended_at=transaction.now,
            outcome=outcome,
            detail=detail,
        )
    )


def close_intents(transaction: Transaction, dispatch_id: str) -> None:
    """An intent ends with its dispatch, also a dead one's, which may have been written or not.

    Left open, it would make the same change by a person, months later, look like ours.
    """
    transaction.connection.execute(
        update(intents)
        .where(intents.c.dispatch_id == dispatch_id, intents.c.fulfilled_at.is_(None))
        .values(fulfilled_at=transaction.now)
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
