"""Operators' commands that enter the loop as events: rollback, pause, resume."""

from typing import Any

from sqlalchemy import delete, insert, select

from steward.events import EventType, ModelRef, NewEvent
from steward.journal.audit import write_audit
from steward.journal.history import scope_of
from steward.journal.schema import dispatches, events, is_living, models, pauses
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import EventWriter, bring_forward
from steward.ports import Hint


@retried
def request_rollback(
    journal: Journal, model: ModelRef, *, version: str | None, actor: str, reason: str
) -> tuple[str, list[Hint]]:
    """Journal ``rollback.requested``; returns its id and what to hint."""
    with journal.write() as transaction:
        new = NewEvent(
            EventType.ROLLBACK_REQUESTED,
            model,
            data={"to": version, "actor": actor, "reason": reason},
            source=f"operator/{actor}",
        )
        event_id = _record(journal, transaction, new, model)
        detail = {"to": version, "reason": reason, "event_id": event_id}
        write_audit(transaction, actor=actor, verb="rollback", target=model.name, detail=detail)
    return event_id, transaction.hints


@retried
def pause(journal: Journal, model: ModelRef | None, *, actor: str, reason: str) -> str:
    """Stop acting on a model (None: on all); events go on being journalled."""
    with journal.write() as transaction:
        scope = scope_of(model)
        data = {"actor": actor, "reason": reason, "scope": model.name if model else "everything"}
        new = NewEvent(EventType.AUTOMATION_PAUSED, model, data=data, source=f"operator/{actor}")
        event_id = _record(journal, transaction, new, model)
        transaction.connection.execute(delete(pauses).where(pauses.c.scope == scope))
        transaction.connection.execute(
            insert(pauses).values(
                scope=scope,
                reason=reason,
                actor=actor,
                event_id=event_id,
                paused_at=transaction.now,
            )
        )
        write_audit(transaction, actor=actor, verb="pause", target=scope or "*", detail=data)
    return event_id


@retried
def resume(
    journal: Journal, model: ModelRef | None, *, actor: str, reason: str
) -> tuple[str | None, list[Hint]]:
    """Act again, and take up at once what waited; None when nothing was paused."""
    with journal.write() as transaction:
        connection, scope = transaction.connection, scope_of(model)
        ended = connection.execute(delete(pauses).where(pauses.c.scope == scope))
        if ended.rowcount == 0:
            return None, []
        data = {"actor": actor, "reason": reason, "scope": model.name if model else "everything"}
        new = NewEvent(EventType.AUTOMATION_RESUMED, model, data=data, source=f"operator/{actor}")
        event_id = _record(journal, transaction, new, model)
        waiting = (
            select(dispatches.c.id, dispatches.c.handler, dispatches.c.queue)
            .join(events, events.c.id == dispatches.c.event_id)
            .where(dispatches.c.state == "pending", dispatches.c.wait_until.is_not(None))
        )
        if model:
            waiting = waiting.where(
                events.c.model == model.name,
                events.c.registry == model.registry,
                events.c.workspace == model.workspace,
            )
        bring_forward(transaction, [tuple(row) for row in connection.execute(waiting)])
        write_audit(transaction, actor=actor, verb="resume", target=scope or "*", detail=data)
    return event_id, transaction.hints


def paused_scopes(journal: Journal) -> list[dict[str, Any]]:
    """Every pause in force."""
    with journal.read() as connection:
        rows = connection.execute(select(pauses).order_by(pauses.c.paused_at)).all()
    return [
        {
            "scope": row.scope or "everything",
            "reason": row.reason,
            "actor": row.actor,
            "since": row.paused_at,
        }
        for row in rows
    ]


def _record(
    journal: Journal, transaction: Transaction, new: NewEvent, model: ModelRef | None
) -> str:
    writer = EventWriter(journal, transaction)
    model_id = None
    if model:
        query = select(models.c.id).where(
            *is_living(model),
        )
        model_id = transaction.connection.execute(query).scalar()
    event_id = writer.add(new, seen=0, model_id=model_id)
    writer.flush()
    return event_id
