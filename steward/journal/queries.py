"""Reads events, dispatches and deliveries back: what operators see and handlers look up."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, false, or_, select

from steward.events import Event, ModelRef
from steward.journal.bulk import chunks
from steward.journal.globs import matches_glob
from steward.journal.schema import (
    SEEN_OWN,
    SEEN_READ,
    SEEN_WEBHOOK,
    attempts,
    deliveries,
    dispatches,
    events,
)

OPEN_STATES = ("pending", "running")
STATUSES = ("open", "waiting", "done", "dead")
SEEN_BY = ("webhook", "poll", "both", "self")


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


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: every field that is set must hold. ``text`` looks in model, type and data."""

    type: str | None = None
    model: str | None = None
    version: str | None = None
    status: str | None = None
    source: str | None = None
    seen_by: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    registry: str | None = None
    workspace: str | None = None

    @property
    def is_empty(self) -> bool:
        """True when it would take every event there is."""
        return self == EventFilter()

    def apply(self, query: Select[Any]) -> Select[Any]:
        """Narrow a query over ``events``."""
        table = events.c
        for column, value in (
            (table.type, self.type),
            (table.model, self.model),
            (table.version, self.version),
            (table.source, self.source),
            (table.registry, self.registry),
            (table.workspace, self.workspace),
        ):
            if value is not None:
                is_glob = "*" in value
                query = query.where(matches_glob(column, value) if is_glob else column == value)
        if self.since:
            query = query.where(table.recorded_at >= self.since)
        if self.until:
            query = query.where(table.recorded_at < self.until)
        if self.text:
            query = query.where(_mentions(self.text))
        if self.seen_by:
            query = query.where(_seen(self.seen_by))
        return query.where(_has_status(self.status)) if self.status else query


def _mentions(text: str) -> Any:
    from sqlalchemy import Text, cast

    table = events.c
    columns = (table.id, table.type, table.model, table.version)
    in_json = (cast(table.data, Text), cast(table.after, Text))
    return or_(*(column.icontains(text, autoescape=True) for column in (*columns, *in_json)))


def _seen(word: str) -> Any:
    table = events.c
    return {
        "webhook": table.seen == SEEN_WEBHOOK,
        "poll": table.seen == SEEN_READ,
        "both": table.seen == SEEN_WEBHOOK | SEEN_READ,
        "self": or_(table.seen == 0, table.seen >= SEEN_OWN),
    }.get(word, false())


def _has_status(status: str) -> Any:
    mine = dispatches.c.event_id == events.c.id
    is_open = exists().where(mine, dispatches.c.state.in_(OPEN_STATES))
    is_waiting = exists().where(
        mine, dispatches.c.state == "pending", dispatches.c.wait_until.is_not(None)
    )
    is_dead = exists().where(mine, dispatches.c.state == "dead")
    return {
        "open": is_open,
        "waiting": is_waiting,
        "dead": is_dead,
        "done": and_(~is_open, ~is_dead),
    }.get(status, false())


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

    Raises:
        ValueError: the cursor is not one of ours.

    """
    query = which.apply(select(events)).order_by(events.c.seq.desc()).limit(limit + 1)
    if cursor:
        query = query.where(events.c.seq < _position(cursor))
    rows = connection.execute(query).all()
    page = rows[:limit]
    grouped = dispatches_of(connection, [row.id for row in page])
    items = [(event_of(row), status_of(grouped.get(row.id, []))) for row in page]
    more = len(rows) > limit
    return items, base64.urlsafe_b64encode(str(page[-1].seq).encode()).decode() if more else None


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


def _of_model(query: Select[Any], model: ModelRef) -> Select[Any]:
    return query.where(
        events.c.model == model.name,
        events.c.registry == model.registry,
        events.c.workspace == model.workspace,
    )
