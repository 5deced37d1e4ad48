"""Which versions were Production, and what they were called, as the journal knows it.

Called by ``history`` for handlers, and by the API.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from steward.events import Event, EventType, ModelRef
from steward.journal import queries
from steward.journal.facets import CHAMPION
from steward.journal.schema import events, is_living, models, observed

MADE_IT = (EventType.PROMOTED, EventType.ROLLED_BACK)
CHANGES = (EventType.CHAMPION_CHANGED, *MADE_IT)
MOST_CHANGES = 1000


def past_champions(connection: Connection, model: ModelRef) -> list[str]:
    """Versions that were Production, latest first."""
    table = events.c
    query = (
        select(table.id, table.type, table.before, table.after, table.caused_by)
        .where(*queries.of_present(model), table.type.in_(CHANGES))
        .order_by(table.seq.desc())
        .limit(MOST_CHANGES)
    )
    present = _observed_champion(connection, model)  # all there is, where it is older than we are
    found: list[str] = []
    for version in (present, *_in_their_order(connection.execute(query).all())):
        if version is not None and found[-1:] != [str(version)]:
            found.append(str(version))
    return found


def _in_their_order(changes: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[Any]:
    """What each change made Production and what it replaced, given and told latest first.

    Who wrote Production saw what it replaced; the reading that follows only knows what was read
    before, and a person may have changed it in between.
    """
    replaced = {change.id: change.before for change in changes if change.type in MADE_IT}
    told = set()
    for change in changes:
        if change.id not in told:
            yield from (change.after, replaced.get(change.caused_by), change.before)
        told.add(change.caused_by)


def champion_changes(connection: Connection, model: ModelRef, *, since: datetime) -> list[Event]:
    """The changes of Production recorded since then, oldest first, and what made them."""
    query = (
        select(events)
        .where(
            *queries.of_present(model),
            events.c.type.in_(CHANGES),
            events.c.recorded_at >= since,
        )
        .order_by(events.c.seq)
    )
    return [queries.event_of(row) for row in connection.execute(query)]


def rolled_back_from(connection: Connection, model: ModelRef) -> frozenset[str]:
    """Versions that Production was rolled back from."""
    query = select(events.c.version).where(
        *queries.of_present(model), events.c.type == EventType.ROLLED_BACK
    )
    return frozenset(version for version in connection.execute(query).scalars() if version)


def _observed_champion(connection: Connection, model: ModelRef) -> str | None:
    query = (
        select(observed.c.value)
        .join(models, models.c.id == observed.c.model_id)
        .where(
            *is_living(model),
            observed.c.subject == "",
            observed.c.facet == CHAMPION,
        )
    )
    value = connection.execute(query).scalar()
    return str(value) if value is not None else None


def numbers(connection: Connection, model: ModelRef) -> dict[str, str]:
    """Version to the semantic version that its latest promotion gave it."""
    number = events.c.data["semantic_version"].as_string()
    query = (
        select(events.c.version, number)
        .where(*queries.of_present(model), events.c.type == EventType.PROMOTED, number.is_not(None))
        .order_by(events.c.seq)
    )
    return {row.version: row[1] for row in connection.execute(query)}
