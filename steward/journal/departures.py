"""Models that left their name: deleted, or renamed. The registry sends nothing for either.

The poller calls it after the registry answered 404 for a model that we knew. Whoever was faster
wins: nothing is recorded when the name no longer means the model that was looked at.
"""

from typing import Any

from sqlalchemy import Row, delete, select, update

from steward.events import EventType, ModelRef, NewEvent
from steward.journal.facets import EXISTS
from steward.journal.looking import ModelLook
from steward.journal.observed import ObservedState
from steward.journal.schema import SEEN_READ, events, intents, models, observed
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import EventWriter
from steward.ports import Hint


@retried
def record_gone(journal: Journal, look: ModelLook) -> list[Hint]:
    """The registry answered 404 for a model: it was deleted, with all that hung on it."""
    with journal.write() as transaction:
        row = _living(transaction, look.model)
        if row is not None and row.id == look.model_id:
            writer = EventWriter(journal, transaction)
            delete_model(transaction, writer, look.model, row)
            writer.flush()
    return transaction.hints


@retried
def record_renamed(journal: Journal, look: ModelLook, after: ModelRef) -> list[Hint]:
    """A model goes by another name; all that is known of it goes with it."""
    with journal.write(is_long=True) as transaction:
        row = _living(transaction, look.model)
        if row is None or row.id != look.model_id:
            return []
        writer = EventWriter(journal, transaction)
        _free_name(transaction, writer, after, for_id=row.id)
        transaction.connection.execute(
            update(models).where(models.c.id == row.id).values(name=after.name)
        )
        new = NewEvent(
            EventType.MODEL_RENAMED,
            after,
            before=look.model.name,
            after=after.name,
            source=f"mlflow/{after.registry}",
        )
        writer.add(new, seen=SEEN_READ, model_id=row.id)
        writer.flush()
    return transaction.hints


def delete_model(
    transaction: Transaction, writer: EventWriter, ref: ModelRef, row: Row[Any]
) -> None:
    """End one row of ``models``; an event unless nobody ever saw that model exist."""
    if row.created_at is not None or _was_seen(transaction, row.id):
        new = NewEvent(EventType.MODEL_DELETED, ref, before=True, source=f"mlflow/{ref.registry}")
        writer.add(new, seen=SEEN_READ, model_id=row.id)
    transaction.connection.execute(
        update(models).where(models.c.id == row.id).values(deleted_at=transaction.now)
    )


# -- inside ------------------------------------------------------------------------------------


def _living(transaction: Transaction, ref: ModelRef) -> Row[Any] | None:
    table = models.c
    query = select(models).where(
        table.registry == ref.registry,
        table.workspace == ref.workspace,
        table.name == ref.name,
        table.deleted_at.is_(None),
    )
    return transaction.connection.execute(query.with_for_update()).first()


def _was_seen(transaction: Transaction, model_id: int) -> bool:
    query = select(observed.c.value).where(
        observed.c.model_id == model_id, observed.c.facet == EXISTS
    )
    return any(transaction.connection.execute(query).scalars())


def _free_name(
    transaction: Transaction, writer: EventWriter, ref: ModelRef, *, for_id: int
) -> None:
    """Make room for a renamed model.

    What a webhook told under the new name before we knew of the rename belongs to the same model.
    A model that had the name before and was read under it is no longer there.
    """
    row = _living(transaction, ref)
    if row is None:
        return
    if row.created_at is not None:
        delete_model(transaction, writer, ref, row)
        return
    _move_facets(transaction, writer, row.id, for_id)
    connection = transaction.connection
    for table in (events, intents):
        connection.execute(update(table).where(table.c.model_id == row.id).values(model_id=for_id))
    connection.execute(delete(models).where(models.c.id == row.id))


def _move_facets(transaction: Transaction, writer: EventWriter, from_id: int, to_id: int) -> None:
    connection = transaction.connection
    mine = observed.c.model_id == from_id
    rows = connection.execute(select(observed).where(mine)).all()
    connection.execute(delete(observed).where(mine))
    state = ObservedState(transaction, writer)
    state.load((to_id, row.subject) for row in rows)
    for row in rows:
        state.overwrite((to_id, row.subject, row.facet), row.value, row.event_id)
    state.flush()
