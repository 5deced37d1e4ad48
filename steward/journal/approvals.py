"""What people said about versions: recorded here, and read back bound to one incarnation.

Called by the receiver's approvals API and, through ``history``, by handlers.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, select

from steward.events import Event, EventType, ModelRef, NewEvent
from steward.journal.audit import write_audit
from steward.journal.queries import event_of
from steward.journal.schema import events, is_living, models
from steward.journal.store import Journal, retried
from steward.journal.writing import EventWriter
from steward.ports import Hint

TYPES = (
    EventType.APPROVAL_REQUESTED,
    EventType.APPROVAL_APPROVED,
    EventType.APPROVAL_REJECTED,
    EventType.APPROVAL_EXPIRED,
    EventType.PROMOTED,
)
MOST_QUESTIONS = 500


def said(connection: Connection, model: ModelRef, version: str) -> list[Event]:
    """The events of a version about approvals and promotion, oldest first.

    By the id of the model's row: so they outlive a rename, and end with a deletion.
    """
    query = _of_living(model).where(events.c.version == version, events.c.type.in_(TYPES))
    return [event_of(row) for row in connection.execute(query.order_by(events.c.seq))]


def rejected(connection: Connection, model: ModelRef) -> set[str]:
    """The versions that a person rejected: for good, also where an override promoted one since."""
    query = _of_living(model).where(events.c.type == EventType.APPROVAL_REJECTED)
    return {row.version for row in connection.execute(query)}


def questions(connection: Connection) -> list[Event]:
    """Steward's latest questions, newest first, one a version; some are answered by now."""
    query = (
        select(events)
        .where(
            events.c.type == EventType.APPROVAL_REQUESTED,
            events.c.data["verdict"].as_string().is_not(None),
        )
        .order_by(events.c.seq.desc())
        .limit(MOST_QUESTIONS)
    )
    found: dict[tuple[ModelRef | None, str | None], Event] = {}
    for row in connection.execute(query):
        event = event_of(row)
        found.setdefault((event.model, event.version), event)
    return list(found.values())


@retried
def record(
    journal: Journal,
    kind: EventType,
    model: ModelRef,
    version: str,
    *,
    actor: str,
    data: Mapping[str, Any],
) -> tuple[str, list[Hint]]:
    """Journal what a person said; returns the event's id and what to hint."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        query = select(models.c.id).where(*is_living(model))
        model_id = transaction.connection.execute(query).scalar()
        told = {**data, "actor": actor}
        new = NewEvent(kind, model, version, data=told, source=f"operator/{actor}")
        event_id = writer.add(new, seen=0, model_id=model_id)
        writer.flush()
        target = f"{model.name}/{version}"
        write_audit(transaction, actor=actor, verb=str(kind), target=target, detail=told)
    return event_id, transaction.hints


def _of_living(model: ModelRef) -> Select[Any]:
    living = select(models.c.id).where(*is_living(model)).scalar_subquery()
    return select(events).where(events.c.model_id == living)
