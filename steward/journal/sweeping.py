"""What the sweep asks of the journal each second: which dispatches to hint, again or at last."""

from datetime import timedelta

from sqlalchemy import Select, bindparam, select, update

from steward.journal.schema import dispatches
from steward.journal.store import Journal, Transaction
from steward.journal.writing import FIRST_HINT_PATIENCE
from steward.ports import Hint

LONGEST_PATIENCE = timedelta(minutes=5)


def due(journal: Journal, *, limit: int = 500) -> list[Hint]:
    """Dispatches to hint now: a retry or wait that came due, or a hint that nobody answered.

    An unanswered hint is repeated after 5, 10, 20 ... at most 300 seconds, so that a long backlog
    does not fill the broker with copies. A dispatch whose lane is busy is left to who finishes.
    """
    with journal.read() as connection:
        now = journal.now(connection)
        if connection.execute(_query(limit=1), {"now": now}).first() is None:
            return []
    with journal.write() as transaction:
        rows = transaction.connection.execute(_query(limit=limit), {"now": transaction.now}).all()
        again = [
            {
                "b_id": row.id,
                "b_hints": row.hints + 1,
                "b_hint_at": transaction.now + _patience(row.hints + 1),
            }
            for row in rows
        ]
        if again:
            _mark(transaction, again)
    return [Hint(row.id, row.handler, row.queue) for row in rows]


def _patience(hints: int) -> timedelta:
    return min(FIRST_HINT_PATIENCE * (1 << min(hints - 1, 10)), LONGEST_PATIENCE)


def _mark(transaction: Transaction, again: list[dict[str, object]]) -> None:
    transaction.connection.execute(
        update(dispatches)
        .where(dispatches.c.id == bindparam("b_id"), dispatches.c.state == "pending")
        .values(hints=bindparam("b_hints"), hint_at=bindparam("b_hint_at")),
        again,
    )


def _query(*, limit: int) -> Select[tuple[str, str, str, int]]:
    table = dispatches.c
    busy = dispatches.alias("busy")
    is_lane_busy = (
        select(busy.c.id).where(busy.c.lane == table.lane, busy.c.state == "running").exists()
    )
    now = bindparam("now", type_=table.hint_at.type)
    return (
        select(table.id, table.handler, table.queue, table.hints)
        .where(table.state == "pending", table.hint_at <= now, table.due_at <= now, ~is_lane_busy)
        .order_by(table.hint_at)
        .limit(limit)
    )
