"""Lets age out what only a search for a fault reads: raw bodies, and attempts that came to an end.

Events, verdicts and dispatches stay for good. Both tables grow at one end, so a mark remembers how
far each was cleared, and no index is needed for it. What the mark has passed stays: the attempts of
a dispatch that was unfinished or dead then, though it may be replayed and end well later.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.sql.elements import ColumnElement

from steward.journal.schema import attempts, deliveries, dispatches, intents
from steward.journal.schema import counters as marks
from steward.journal.store import Journal, Transaction, insert_or_ignore

CHUNK = 1000
KEPT_STATES = ("pending", "running", "dead")
"""A dispatch in one of these keeps its attempts: somebody still has to understand it."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each is kept; None is for good."""

    bodies: timedelta | None = None
    attempts: timedelta | None = None

    @classmethod
    def days(cls, *, bodies: float, attempts: float) -> "Keep":
        """Of settings in days, where 0 is for good."""
        return cls(timedelta(bodies) if bodies else None, timedelta(attempts) if attempts else None)


@dataclass(frozen=True, slots=True)
class Aged:
    """What one round cleared; ``is_done``: nothing old is left."""

    bodies: int
    attempts: int
    is_done: bool


def age_out(journal: Journal, keep: Keep) -> Aged:
    """Clear at most a thousand old rows of each kind.

    A short transaction each, so that it is called again and again until it is done.
    """
    bodies, bodies_left = _clear_bodies(journal, keep.bodies)
    ended, attempts_left = _clear_attempts(journal, keep.attempts)
    return Aged(bodies, ended, is_done=not (bodies_left or attempts_left))


# -- inside ------------------------------------------------------------------------------------


def _clear_bodies(journal: Journal, after: timedelta | None) -> tuple[int, bool]:
    if after is None:
        return 0, False
    with journal.write() as transaction:
        table = deliveries.c
        keys = _next_old(transaction, "bodies_cleared_to", table.seq, table.received_at, after)
        if not keys:
            return 0, False
        cleared = transaction.connection.execute(
            update(deliveries).where(table.seq.in_(keys), table.body.is_not(None)).values(body=None)
        )
        return cleared.rowcount, len(keys) == CHUNK


def _clear_attempts(journal: Journal, after: timedelta | None) -> tuple[int, bool]:
    if after is None:
        return 0, False
    with journal.write() as transaction:
        table, connection = attempts.c, transaction.connection
        ids = _next_old(transaction, "attempts_cleared_to", table.id, table.ended_at, after)
        if not ids:
            return 0, False
        over = select(dispatches.c.id).where(
            dispatches.c.id == table.dispatch_id, dispatches.c.state.not_in(KEPT_STATES)
        )
        ended = select(table.dispatch_id).where(table.id.in_(ids), over.exists()).distinct()
        # Before the attempts that say how the run ended: a replay must not take these for its own.
        connection.execute(
            delete(intents).where(
                intents.c.dispatch_id.in_(ended), intents.c.fulfilled_at.is_not(None)
            )
        )
        gone = connection.execute(delete(attempts).where(table.id.in_(ids), over.exists()))
        return gone.rowcount, len(ids) == CHUNK


def _next_old(
    transaction: Transaction,
    mark: str,
    key: ColumnElement[int],
    at: ColumnElement[Any],
    after: timedelta,
) -> list[int]:
    """The keys after the mark whose rows are old enough; moves the mark behind them."""
    connection = transaction.connection
    query = select(marks.c.value).where(marks.c.name == mark)
    reached = connection.execute(query).scalar()
    if reached is None:
        connection.execute(insert_or_ignore(connection, marks).values(name=mark, value=0))
        reached = 0
    following = select(key, at).where(key > reached).order_by(key).limit(CHUNK)
    border = transaction.now - after
    rows = connection.execute(following)
    old = [number for number, _ in takewhile(lambda row: row[1] < border, rows)]
    if old:
        connection.execute(update(marks).where(marks.c.name == mark).values(value=old[-1]))
    return old
