"""Reads events, dispatches and deliveries back: what operators see and handlers look up."""

import base64
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from steward.events import Event, ModelRef
from steward.journal.bulk import chunks
from steward.journal.filters import OPEN_STATES, EventFilter
from steward.journal.schema import (
    SEEN_OWN,
    SEEN_READ,
    SEEN_WEBHOOK,
    attempts,
    deliveries,
    dispatches,
    events,
    latest_named,
    models,
)
from steward.journal.walking import newest

__all__ = ["OPEN_STATES", "EventFilter", "event_of", "list_events", "seen_by", "status_of"]


def seen_by(seen: int) -> str:
    """How an event was seen, in words."""
    if seen & SEEN_OWN or not seen:
        return "self"
    if seen == SEEN_WEBHOOK | SEEN_READ:
        return "both"
    return "webhook" if seen & SEEN_WEBHOOK else "poll"


def event_of(row: Row[Any]) -> Event:
    """The event of a row of ``events``."""
    model = ModelRef(row.model, row.registry, row.workspace) if row.model is not None else None
    return Event(
        id=row.id,
        type=row.type,
        source=row.source,
        model=model,
        version=row.version,
        before=row.before,
        after=row.after,
        data=row.data,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        caused_by=row.caused_by,
        seen_by=seen_by(row.seen),
    )


def status_of(rows: list[Row[Any]]) -> str:
    """One word for an event's dispatches: open, waiting, done or dead."""
    states = {row.state for row in rows}
    if any(row.state == "pending" and row.wait_until for row in rows):
        return "waiting"
    if states & set(OPEN_STATES):
        return "open"
    return "dead" if "dead" in states else "done"


def list_events(
    connection: Connection, which: EventFilter, *, cursor: str | None, limit: int
) -> tuple[list[tuple[Event, str]], str | None]:
    """A page of (event, status), newest first, and the cursor of the next page.

    A page may be shorter than ``limit``, or empty, and still have a next one: what matches seldom
    is looked for in a large journal a part at a time.

    Raises:
        ValueError: the cursor is not one of ours.

    """
    before = _position(cursor) if cursor else None
    page, following = newest(connection, which, before=before, limit=limit)
    grouped = dispatches_of(connection, [row.id for row in page])
    items = [(event_of(row), status_of(grouped.get(row.id, []))) for row in page]
    return items, None if following is None else _cursor(following)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def _position(cursor: str) -> int:
    position = int(base64.urlsafe_b64decode(cursor.encode()))
    if not 0 <= position < 1 << 63:
        raise ValueError(f"no event is numbered {position}")
    return position


def dispatches_of(connection: Connection, event_ids: list[str]) -> dict[str, list[Row[Any]]]:
    """The dispatches of each event, oldest first."""
    grouped: dict[str, list[Row[Any]]] = {}
    for chunk in chunks(event_ids):
        query = (
            select(dispatches)
            .where(dispatches.c.event_id.in_(chunk))
            .order_by(dispatches.c.created_at, dispatches.c.id)
        )
        for row in connection.execute(query):
            grouped.setdefault(row.event_id, []).append(row)
    return grouped


def attempts_of(connection: Connection, dispatch_ids: list[str]) -> dict[str, list[Row[Any]]]:
    """The attempts of each dispatch, oldest first."""
    grouped: dict[str, list[Row[Any]]] = {}
    for chunk in chunks(dispatch_ids):
        query = select(attempts).where(attempts.c.dispatch_id.in_(chunk)).order_by(attempts.c.id)
        for row in connection.execute(query):
            grouped.setdefault(row.dispatch_id, []).append(row)
    return grouped


def deliveries_of(connection: Connection, event_id: str) -> list[Row[Any]]:
    """The deliveries filed under an event."""
    query = select(deliveries).where(deliveries.c.event_id == event_id).order_by(deliveries.c.seq)
    return list(connection.execute(query))


def get_event(connection: Connection, event_id: str) -> Event | None:
    """One event, or None."""
    row = connection.execute(select(events).where(events.c.id == event_id)).first()
    return event_of(row) if row else None


def caused_by(connection: Connection, event_id: str) -> list[Event]:
    """What an event caused, oldest first."""
    query = select(events).where(events.c.caused_by == event_id).order_by(events.c.seq)
    return [event_of(row) for row in connection.execute(query)]


def chain(connection: Connection, event_id: str) -> list[Event]:
    """An event and what it came from, newest first."""
    found: list[Event] = []
    following: str | None = event_id
    while following and len(found) < 100:  # noqa: PLR2004  # a cycle cannot be, a guard is cheap
        event = get_event(connection, following)
        if event is None:
            break
        found.append(event)
        following = event.caused_by
    return found


def events_of(
    connection: Connection,
    model: ModelRef,
    *,
    version: str | None = None,
    types: Mapping[str, Any] | tuple[str, ...] = (),
    limit: int = 1000,
) -> list[Event]:
    """Events of a model (of one version, of these types), oldest first."""
    query = _of_model(select(events), model)
    if version is not None:
        query = query.where(events.c.version == version)
    if types:
        query = query.where(events.c.type.in_(tuple(types)))
    rows = connection.execute(query.order_by(events.c.seq.desc()).limit(limit)).all()
    return [event_of(row) for row in reversed(rows)]


def of_present(model: ModelRef) -> tuple[ColumnElement[bool], ...]:
    """The conditions of the events of the model that a name means now: decisions go by these.

    A model that was deleted and created again begins anew, as its versions do. Where none is alive,
    the last that had the name is meant.
    """
    row = latest_named(model, models.c.id)
    return (
        events.c.model == model.name,
        events.c.registry == model.registry,
        events.c.workspace == model.workspace,
        events.c.model_id == row.scalar_subquery(),
    )


def _of_model(query: Select[Any], model: ModelRef) -> Select[Any]:
    return query.where(
        events.c.model == model.name,
        events.c.registry == model.registry,
        events.c.workspace == model.workspace,
    )
