"""Claims dispatches: a lease with a token, one at a time in a lane.

A claim is one conditional update; where no row changed somebody was faster, and the caller stops
silently. A worker whose lease was taken cannot write, because every later write carries the token
of its claim.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, exists, select, update
from sqlalchemy.exc import IntegrityError

from steward.errors import LeaseLostError
from steward.events import Event
from steward.journal.queries import event_of
from steward.journal.schema import dispatches, events, intents
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

    What stopped halfway through its writes comes first in its lane, and nothing passes it.

    ``known`` names the handlers of this worker (None: all). A newer receiver may route to others:
    those stay pending for a newer worker, and nothing of their lane is done before them.
    """

    def take(transaction: Transaction) -> Claimed | None:
        row = _named(transaction, dispatch_id)
        if row is not None and row.lane is not None:
            row = _next_of_lane(journal, transaction, row)
        if row is None or (known is not None and row.handler not in known):
            return None
        return _take(journal, transaction, row, owner, lease_seconds)

    try:
        return journal.write_together(take)
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
        raise lost(claimed)


def update_claimed(transaction: Transaction, claimed: Claimed, values: Mapping[str, Any]) -> None:
    changed = transaction.connection.execute(
        update(dispatches).where(*_is_ours(claimed)).values(**values)
    )
    if changed.rowcount == 0:
        raise lost(claimed)


def lost(claimed: Claimed) -> LeaseLostError:
    """What to raise where no row was changed."""
    return LeaseLostError(
        f"Dispatch {claimed.work.dispatch_id} is no longer held by {claimed.owner}."
    )


# -- inside ------------------------------------------------------------------------------------


# Built once: SQLAlchemy takes longer to build a statement than SQLite to execute it.
_NOW = bindparam("b_now", type_=dispatches.c.due_at.type)
HALFWAY_PATIENCE = timedelta(seconds=5)
"""How soon what stopped halfway is tried again, before it is due, where others want its lane."""
_DISPATCH = select(dispatches).where(dispatches.c.id == bindparam("b_id"))
_EVENT = select(events).where(events.c.id == bindparam("b_id"))
# It wrote something, perhaps, and was neither ended nor put off: its intents are open.
_HALFWAY = (
    select(dispatches)
    .where(
        dispatches.c.lane == bindparam("b_lane"),
        dispatches.c.state == "pending",
        dispatches.c.attempts > 0,
        dispatches.c.wait_until.is_(None),
        exists().where(intents.c.dispatch_id == dispatches.c.id, intents.c.fulfilled_at.is_(None)),
    )
    .order_by(dispatches.c.created_at, dispatches.c.id)
    .limit(1)
)
# Whoever holds the row is faster, or hints it afterwards: it is not waited for.
_FREE = select(dispatches.c.id).where(dispatches.c.id == bindparam("b_id"))
_TAKE = (
    update(dispatches)
    .where(
        dispatches.c.id == _FREE.with_for_update(skip_locked=True).scalar_subquery(),
        dispatches.c.state == "pending",
        dispatches.c.due_at <= _NOW,
        dispatches.c.token == bindparam("b_token"),
    )
    .values(
        state="running",
        owner=bindparam("b_owner"),
        token=dispatches.c.token + 1,
        attempts=dispatches.c.attempts + 1,
        claimed_at=_NOW,
        lease_until=bindparam("b_until"),
    )
)
_DATE = (
    update(dispatches)
    .where(dispatches.c.id == bindparam("b_id"))
    .values(claimed_at=_NOW, lease_until=bindparam("b_until"))
)


def _named(transaction: Transaction, dispatch_id: str) -> Row[Any] | None:
    return transaction.connection.execute(_DISPATCH, {"b_id": dispatch_id}).first()


def _next_of_lane(journal: Journal, transaction: Transaction, named: Row[Any]) -> Row[Any] | None:
    table, connection = dispatches.c, transaction.connection
    running = select(table.id).where(table.lane == named.lane, table.state == "running")
    if connection.execute(running).first():
        return None
    if (halfway := connection.execute(_HALFWAY, {"b_lane": named.lane}).first()) is not None:
        return halfway if _may_go_on(halfway, journal.now(connection)) else None
    # What came back since we began is due as well: it must not be overtaken.
    now = journal.moment(transaction)
    due = select(table.id).where(table.state == "pending", table.due_at <= now)
    wanted = due.where(table.lane == named.lane).order_by(table.created_at, table.id).limit(1)
    # Whoever holds it is faster, or hints it afterwards. Only the row is locked that was chosen:
    # to skip within a lane would be to overtake.
    locked = select(dispatches).where(table.id == wanted.scalar_subquery())
    return connection.execute(locked.with_for_update(skip_locked=True)).first()


def _may_go_on(halfway: Row[Any], now: datetime) -> bool:
    return bool(min(halfway.due_at, halfway.claimed_at + HALFWAY_PATIENCE) <= now)


def _take(
    journal: Journal, transaction: Transaction, row: Row[Any], owner: str, lease_seconds: float
) -> Claimed | None:
    # What its lane gave us is due, though perhaps only since our transaction began.
    now = transaction.now if row.lane is None else max(transaction.now, row.due_at)
    dated = _dated(row, now, lease_seconds)
    taking = {**dated, "b_token": row.token, "b_owner": owner}
    if transaction.connection.execute(_TAKE, taking).rowcount == 0:
        return None
    if row.lane is not None:
        # On PostgreSQL the lane's last attempt may have ended since we began, even while the update
        # waited for it. The claim is of now, when the lane is ours.
        dated = _dated(row, journal.now(transaction.connection), lease_seconds)
        transaction.connection.execute(_DATE, dated)
    event_row = transaction.connection.execute(_EVENT, {"b_id": row.event_id}).one()
    work = Work(
        dispatch_id=row.id,
        handler=row.handler,
        target=row.target,
        run=row.run,
        # Tried before it was due, for others' sake: in the place of the try that was to come.
        failures=row.failures - (row.due_at > dated["b_now"]),
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
        dated["b_now"],
    )


def _dated(row: Row[Any], now: datetime, lease_seconds: float) -> dict[str, Any]:
    return {"b_id": row.id, "b_now": now, "b_until": now + timedelta(seconds=lease_seconds)}


def _is_ours(claimed: Claimed) -> tuple[ColumnElement[bool], ...]:
    table = dispatches.c
    return (
        table.id == claimed.work.dispatch_id,
        table.state == "running",
        table.token == claimed.token,
    )
