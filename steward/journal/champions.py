"""Which versions were Production, and what they were called, as the journal knows it.

Called by ``history`` for handlers, and by the API.
"""

from sqlalchemy import Connection, select

from steward.events import EventType, ModelRef
from steward.journal import queries
from steward.journal.facets import CHAMPION
from steward.journal.schema import events, is_living, models, observed


def past_champions(connection: Connection, model: ModelRef) -> list[str]:
    """Versions that were Production, latest first."""
    changes = queries.events_of(connection, model, types=(EventType.CHAMPION_CHANGED,))
    present = _observed_champion(connection, model)  # all there is, where it is older than we are
    found = [present] if present is not None else []
    for event in reversed(changes):
        for version in (event.after, event.before):
            if version is not None and (not found or found[-1] != str(version)):
                found.append(str(version))
    return found


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
        .join(models, models.c.id == events.c.model_id)
        .where(*is_living(model), events.c.type == EventType.PROMOTED, number.is_not(None))
        .order_by(events.c.seq)
    )
    return {row.version: row[1] for row in connection.execute(query)}
