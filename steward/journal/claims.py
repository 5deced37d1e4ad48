"""Claims dispatches: a lease with a token, one at a time in a lane.

A claim is one conditional update; where no row changed somebody was faster, and the caller stops
silently. A worker whose lease was taken cannot write, because every later write carries the token
of its claim.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, select, update
from sqlalchemy.exc import IntegrityError

from steward.errors import LeaseLostError
from steward.events import Event
from steward.journal.queries import event_of
from steward.journal.schema import dispatches, events
from steward.journal.store import Journal, Transaction, retried
from steward.ports import Work


@dataclass(frozen=True, slots=True)
class Claimed:
    """A dispatch that is ours until the lease ends, and the event it answers."""

    work: Work
    event: Event
    model_id: int | None
    queue: str
    token: int
    owner: str
    attempt: int
    claimed_at: datetime


@retried
def claim(
    journal: Journal,
    dispatch_id: str,
    owner: str,
    *,
    lease_seconds: float,
    known: Collection[str] | None = None,
) -> Claimed | None:
    """Take a dispatch, or the oldest due one of its lane; None when there is nothing to take.

    ``known`` names the handlers of this worker (None: all). A newer receiver may route to others:
    those stay pending for a newer worker, and nothing of their lane is done before them.
    """
    try:
        with journal.write() as transaction:
            row = _next_due(transaction, dispatch_id)
            if row is None or (known is not None and row.handler not in known):
                return None
            return _take(transaction, row, owner, lease_seconds)
    except IntegrityError:  # another worker runs in this lane
        return None


@retried
def heartbeat(journal: Journal, claimed: Claimed, *, lease_seconds: float) -> None:
    """Extend the lease. LeaseLostError when somebody else owns the dispatch now."""
    with journal.write() as transaction:
        until = transaction.now + timedelta(seconds=lease_seconds)
        update_claimed(transaction, claimed, {"lease_until": until})


def hold(transaction: Transaction, claimed: Claimed) -> None:
    """Make sure, inside a write, that the dispatch is still ours: a zombie writes nothing.

    Raises:
        LeaseLostError: somebody else owns it now.

    """
    query = select(dispatches.c.id).where(*_is_ours(claimed)).with_for_update()
    if transaction.connection.execute(query).first() is None:
        raise _lost(claimed)


def update_claimed(transaction: Transaction, claimed: Claimed, values: Mapping[str, Any]) -> None:
    changed = transaction.connection.execute(
        update(dispatches).where(*_is_ours(claimed)).values(**values)
    )
    if changed.rowcount == 0:
        raise _lost(claimed)


# -- inside ------------------------------------------------------------------------------------


def _next_due(transaction: Transaction, dispatch_id: str) -> Row[Any] | None:
    table = dispatches.c
    connection = transaction.connection
    named = connection.execute(select(dispatches).where(table.id == dispatch_id)).first()
    if named is None:
        return None
    due = select(table.id).where(table.state == "pending", table.due_at <= transaction.now)
    if named.lane is None:
        wanted = due.where(table.id == dispatch_id)
    else:
        running = select(table.id).where(table.lane == named.lane, table.state == "running")
        if connection.execute(running).first():
            return None
        wanted = due.where(table.lane == named.lane).order_by(table.created_at, table.id).limit(1)
    # Whoever holds it is faster, or hints it afterwards. Only the row is locked that was chosen:
    # to skip within a lane would be to overtake.
    locked = select(dispatches).where(table.id == wanted.scalar_subquery())
    return connection.execute(locked.with_for_update(skip_locked=True)).first()


def _take(
    transaction: Transaction, row: Row[Any], owner: str, lease_seconds: float
) -> Claimed | None:
    table = dispatches.c
    taken = transaction.connection.execute(
        update(dispatches)
        .where(table.id == row.id, table.state == "pending", table.token == row.token)
        .values(
            state="running",
            owner=owner,
            token=row.token + 1,
            attempts=row.attempts + 1,
            claimed_at=transaction.now,
            lease_until=transaction.now + timedelta(seconds=lease_seconds),
        )
    )
    if taken.rowcount == 0:
        return None
    event_row = transaction.connection.execute(
        select(events).where(events.c.id == row.event_id)
    ).one()
    work = Work(
        dispatch_id=row.id,
        handler=row.handler,
        target=row.target,
        run=row.run,
        failures=row.failures,
        created_at=row.created_at,
        lane=row.lane,
    )
    return Claimed(
        work,
        event_of(event_row),
        event_row.model_id,
        row.queue,
        row.token + 1,
        owner,
        row.attempts + 1,
        transaction.now,
    )


def _is_ours(claimed: Claimed) -> tuple[ColumnElement[bool], ...]:
    table = dispatches.c
    return (
        table.id == claimed.work.dispatch_id,
        table.state == "running",
        table.token == claimed.token,
    )


def _lost(claimed: Claimed) -> LeaseLostError:
    return LeaseLostError(
        f"Dispatch {claimed.work.dispatch_id} is no longer held by {claimed.owner}."
    )
