"""Walks through a large journal, newest first, for those who look for something in it.

An index answers some questions; for all others events are looked at one by one. That is done in
parts and for a moment only: what was found goes out with the place to go on from.
"""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from steward.journal.filters import Condition, EventFilter
from steward.journal.schema import events

LOOK_SECONDS = 0.25
Span = tuple[int, int]
"""The number of the first event, and the one before which the last is."""
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
    span = _span(connection, which, before)
    if span is None:
        return [], None
    few = which.few()
    if few is not None and _are_few(connection, few):
        return _page(_of_few(connection, which, few, span, limit + 1), limit)
    by_index, others = which.by_index(), which.others()
    if not others:
        query = select(events).where(*_between(*span), *by_index).order_by(events.c.seq.desc())
        return _page(list(connection.execute(query.limit(limit + 1))), limit)
    ends_at = time.monotonic() + look_seconds
    return _walk(connection, span, by_index, others, limit=limit, part=part, ends_at=ends_at)


# -- inside ------------------------------------------------------------------------------------


def _are_few(connection: Connection, few: Select[Any]) -> bool:
    some = few.limit(FEW + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one() <= FEW


def _of_few(
    connection: Connection, which: EventFilter, few: Select[Any], span: Span, count: int
) -> list[Row[Any]]:
    table, other = events.c, replace(which, status=None)
    query = other.apply(select(events).where(table.id.in_(few), *_between(*span)))
    # By a sum, so that the database sorts the few instead of walking past all others to them.
    return list(connection.execute(query.order_by((table.seq + 0).desc()).limit(count)))


def _walk(
    connection: Connection,
    span: Span,
    by_index: list[Condition],
    others: list[Condition],
    *,
    limit: int,
    part: int,
    ends_at: float,
) -> tuple[list[Row[Any]], int | None]:
    first, before = span
    query = select(events).where(*by_index, *others).order_by(events.c.seq.desc())
    rows: list[Row[Any]] = []
    while True:
        last = max(first, _end_of_part(connection, by_index, (first, before), part))
        within = query.where(*_between(last, before)).limit(limit + 1 - len(rows))
        rows += connection.execute(within)
        if len(rows) > limit or last == first:
            return _page(rows, limit)
        if time.monotonic() > ends_at:
            return rows, last
        before, part = last, min(part * 2, LARGEST_PART)


def _end_of_part(connection: Connection, by_index: list[Condition], span: Span, part: int) -> int:
    if not by_index:
        return span[1] - part  # few numbers are left out
    ordered = select(events.c.seq).where(*by_index, *_between(*span)).order_by(events.c.seq.desc())
    return connection.execute(ordered.offset(part - 1).limit(1)).scalar() or span[0]


def _page(rows: list[Row[Any]], limit: int) -> tuple[list[Row[Any]], int | None]:
    return rows[:limit], rows[limit - 1].seq if len(rows) > limit else None


def _between(first: int, before: int) -> tuple[Condition, Condition]:
    return events.c.seq >= first, events.c.seq < before


def _span(connection: Connection, which: EventFilter, before: int | None) -> Span | None:
    """The numbers between which the events are; None where there can be none.

    Events are numbered nearly as they were recorded, so two looks into the index of times save a
    walk past everything that is newer or older.
    """
    at, first = events.c.recorded_at, 1
    if before is None:
        before = (connection.execute(select(func.max(events.c.seq))).scalar() or 0) + 1
    if which.since:
        earliest = connection.execute(select(func.min(at)).where(at >= which.since)).scalar()
        if earliest is None:
            return None
        first = _number(connection, func.min, earliest, earliest + DISORDER)
    if which.until:
        latest = connection.execute(select(func.max(at)).where(at < which.until)).scalar()
        if latest is None:
            return None
        before = min(before, _number(connection, func.max, latest - DISORDER, latest) + 1)
    return (first, before) if first < before else None


def _number(connection: Connection, pick: Any, since: datetime, until: datetime) -> int:
    # Of a sum, so that the database asks the index of times instead of walking the table.
    query = select(pick(events.c.seq + 0)).where(events.c.recorded_at.between(since, until))
    return int(connection.execute(query).scalar_one())
