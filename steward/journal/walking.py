"""Walks through a large journal, newest first, for those who look for something in it.

An index answers some questions; for all others events are looked at one by one. That is done in
parts and for a moment only: what was found goes out with the place to go on from.
"""

import time
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from steward.journal.filters import Condition, EventFilter
from steward.journal.schema import events

LOOK_SECONDS = 0.25
FIRST_PART, LARGEST_PART = 4_000, 16_000
"""Events looked at in one statement. The first suffices where one in eighty matches."""
FEW = 5_000
"""So many events of a status are fetched and sorted; with more of them a walk meets them soon."""
DISORDER = timedelta(seconds=10)
"""How much later than another, at most, a transaction that began earlier numbers its events."""


def newest(
    connection: Connection,
    which: EventFilter,
    *,
    before: int | None,
    limit: int,
    part: int = FIRST_PART,
    look_seconds: float = LOOK_SECONDS,
) -> tuple[list[Row[Any]], int | None]:
    """At most ``limit`` rows of ``events``, newest first, and where to go on (None: nowhere)."""
    bounds = _bounds(connection, which, before)
    by_index, others = which.by_index(), which.others()
    if bounds is None:
        return [], None
    if not others or (not by_index and _are_few(connection, which)):
        rows = _all(connection, which, [*bounds, *by_index, *others], limit + 1)
        return _page(rows, limit)
    ends_at = time.monotonic() + look_seconds
    return _walk(connection, [*bounds, *by_index], others, limit=limit, part=part, ends_at=ends_at)


# -- inside ------------------------------------------------------------------------------------


def _all(
    connection: Connection, which: EventFilter, conditions: list[Condition], count: int
) -> list[Row[Any]]:
    table = events.c
    query = select(events).where(*conditions).limit(count)
    few = which.few()
    if few is None:
        return list(connection.execute(query.order_by(table.seq.desc())))
    # By a sum, so that the database sorts the few instead of walking past all others to them.
    few_first = query.where(table.id.in_(few)).order_by((table.seq + 0).desc())
    return list(connection.execute(few_first))


def _are_few(connection: Connection, which: EventFilter) -> bool:
    few = which.few()
    if few is None:
        return False
    some = few.limit(FEW + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one() <= FEW


def _walk(
    connection: Connection,
    within: list[Condition],
    others: list[Condition],
    *,
    limit: int,
    part: int,
    ends_at: float,
) -> tuple[list[Row[Any]], int | None]:
    table = events.c
    rows: list[Row[Any]] = []
    while True:
        ordered = select(table.seq).where(*within).order_by(table.seq.desc())
        last = connection.execute(ordered.offset(part - 1).limit(1)).scalar()
        query = select(events).where(*within, *others).order_by(table.seq.desc())
        if last is not None:
            query = query.where(table.seq >= last)
        rows += connection.execute(query.limit(limit + 1 - len(rows)))
        if len(rows) > limit or last is None:
            return _page(rows, limit)
        if time.monotonic() > ends_at:
            return rows, last
        within = [*within, table.seq < last]
        part = min(part * 2, LARGEST_PART)


def _page(rows: list[Row[Any]], limit: int) -> tuple[list[Row[Any]], int | None]:
    return rows[:limit], rows[limit - 1].seq if len(rows) > limit else None


def _bounds(
    connection: Connection, which: EventFilter, before: int | None
) -> list[Condition] | None:
    """The numbers between which the events are; None where there can be none.

    Events are numbered nearly as they were recorded, so two looks into the index of times save a
    walk past everything that is newer or older.
    """
    seq, at = events.c.seq, events.c.recorded_at
    bounds = [] if before is None else [seq < before]
    if which.since:
        first = connection.execute(select(func.min(at)).where(at >= which.since)).scalar()
        if first is None:
            return None
        bounds.append(seq >= _number(connection, func.min, first, first + DISORDER))
    if which.until:
        last = connection.execute(select(func.max(at)).where(at < which.until)).scalar()
        if last is None:
            return None
        bounds.append(seq <= _number(connection, func.max, last - DISORDER, last))
    return bounds


def _number(connection: Connection, pick: Any, since: datetime, until: datetime) -> int:
    # Of a sum, so that the database asks the index of times instead of walking the table.
    query = select(pick(events.c.seq + 0)).where(events.c.recorded_at.between(since, until))
    return int(connection.execute(query).scalar_one())
