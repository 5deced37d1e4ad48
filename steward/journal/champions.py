"""Which versions were Production, and what they were called, as the journal knows it.

Called by ``history`` for handlers, and by the API.
"""

from sqlalchemy import Connection, select

from steward.events import EventType, ModelRef
from steward.journal import queries
from steward.journal.facets import CHAMPION
from steward.journal.schema import events, is_living, models, observed

MOST_CHANGES = 1000


def past_champions(connection: Connection, model: ModelRef) -> list[str]:
    """Versions that were Production, latest first."""
    query = (
        select(events.c.before, events.c.after)
        .where(*queries.of_present(model), events.c.type == EventType.CHAMPION_CHANGED)
        .order_by(events.c.seq.desc())
        .limit(MOST_CHANGES)
    )
    present = _observed_champion(connection, model)  # all there is, where it is older than we are
    found = [present] if present is not None else []
    for change in connection.execute(query):
        for version in (change.after, change.before):
            if version is not None and (not found or found[-1] != str(version)):
                found.append(str(version))
    return found


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
        .join(models, models.c.id == events.c.model_id)
        .where(*is_living(model), events.c.type == EventType.PROMOTED, number.is_not(None))
        .order_by(events.c.seq)
    )
    return {row.version: row[1] for row in connection.execute(query)}
