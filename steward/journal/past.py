"""What was so at an earlier time, and what each judgement recorded: read for the operators' API."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from steward.events import Event, EventType, ModelRef
from steward.journal import queries
from steward.journal.bulk import chunks
from steward.journal.catalog import KnownModel
from steward.journal.facets import CHAMPION
from steward.journal.schema import events

Snapshot = Connection
"""A read of the journal as of one moment, for rooms that know no database library."""

JUDGEMENTS = (EventType.VALIDATED, EventType.HELD, EventType.REJECTED)
MOST_CHANGES = 10_000


@dataclass(frozen=True, slots=True)
class ProductionThen:
    """What was Production at a time. ``is_known`` False: nobody here could know it.

    ``version`` None with ``is_known``: there was none. ``changed_by`` is the event that had made it
    so, None where it was so before we kept events.
    """

    version: str | None
    is_known: bool
    changed_by: Event | None = None


def champion_changes(connection: Connection, model: ModelRef) -> list[Event]:
    """Every change of a model's Production, as it came about."""
    found = queries.events_of(
        connection, model, types=(EventType.CHAMPION_CHANGED,), limit=MOST_CHANGES
    )
    return sorted(found, key=lambda event: event.occurred_at)  # stable: ties as recorded


def production_at(known: KnownModel, changes: list[Event], at: datetime) -> ProductionThen:
    """What was Production at a time, by the changes of it in their order.

    Before the first change the journal knows what that change replaced, back to when it first saw
    the model; of the time before that it knows nothing. A model whose registration it saw had no
    Production before. Pure.
    """
    earlier = [event for event in changes if event.occurred_at <= at]
    if earlier:
        return ProductionThen(_version(earlier[-1].after), is_known=True, changed_by=earlier[-1])
    if at < known.first_seen_at:
        return ProductionThen(None, is_known=False)
    if changes:
        return ProductionThen(_version(changes[0].before), is_known=True)
    return ProductionThen(known.production, is_known=CHAMPION in known.facets)


def judgements_of(
    connection: Connection, model: ModelRef, versions: Iterable[str]
) -> dict[str, Event]:
    """The newest judgement of each version that recorded what it looked at.

    A later verdict by ``promote`` names numbers, but not where the version came from.
    """
    found: dict[str, Event] = {}
    table = events.c
    for chunk in chunks(list(versions)):
        query = select(events).where(
            table.model == model.name,
            table.registry == model.registry,
            table.workspace == model.workspace,
            table.version.in_(chunk),
            table.type.in_(JUDGEMENTS),
        )
        for row in connection.execute(query.order_by(table.seq)):
            if "lineage" in row.data or row.version not in found:
                found[row.version] = queries.event_of(row)
    return found


def _version(value: Any) -> str | None:
    return None if value is None else str(value)
