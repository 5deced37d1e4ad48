"""Recognising our own writes: a change that equals an intent of ours is no news from outside."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update

from steward.journal.schema import intents
from steward.journal.store import Transaction

OWN_WRITE_WINDOW = timedelta(minutes=10)


def intended(transaction: Transaction, model_id: int, subject: str, facet: str) -> list[Any]:
    """Writes of ours to a facet that no event was matched with yet, oldest first."""
    since = transaction.now - OWN_WRITE_WINDOW
    table = intents.c
    query = (
        select(table.id, table.event_id, table.value, table.fulfilled_at)
        .where(
            table.model_id == model_id,
            table.subject == subject,
            table.facet == facet,
            table.matched_by.is_(None),
            or_(table.fulfilled_at.is_(None), table.fulfilled_at >= since),
        )
        .order_by(table.id)
    )
    return list(transaction.connection.execute(query))


def end_intents(transaction: Transaction, intended: Sequence[Any], own: Any, event_id: str) -> None:
    """A change ends what was written before it; ``own``: the intent that it fulfils, if any.

    A retry intends again what it wrote, and some find their value there: such an intent, left
    over, would take a person's change back to that value for ours, and nobody would look.
    """
    ended = [
        row.id for row in intended if (row.id <= own.id if own else row.fulfilled_at is not None)
    ]
    if ended:
        transaction.connection.execute(
            update(intents).where(intents.c.id.in_(ended)).values(matched_by=event_id)
        )
