"""Replays of many events: begun a few a second, in short transactions, and cancelled if asked.

A batch is known by its rows in the audit, which name its dispatches.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from steward.errors import NotFoundError
from steward.events import Event, uuid7
from steward.journal import replay
from steward.journal.audit import write_audit
from steward.journal.bulk import chunks, insert_many
from steward.journal.replay import Mode, Step
from steward.journal.schema import attempts, audit, dispatches, events
from steward.journal.store import Journal, Transaction, retried
from steward.ports import Hint

A_TRANSACTION = 50
"""Deliveries wait for the same lock, so no transaction of a batch may take long."""
ENDS = ("succeeded", "skipped", "dead")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """How many dispatches went back to their end, and how many had begun and were left."""

    cancelled: int
    left: int


def apply(
    journal: Journal,
    chosen: Sequence[Event],
    *,
    handlers: Sequence[str] | None,
    mode: Mode,
    actor: str,
    reason: str,
    rate: float,
) -> tuple[str, list[Step], list[Hint]]:
    """Replay events, ``rate`` dispatches a second; returns the batch, what was done, what to hint.

    A journal that goes away in the middle leaves a part: to ask again is safe.
    """
    batch, delays = uuid7()[-12:], _delays(rate)
    steps: list[Step] = []
    hints: list[Hint] = []
    for start in range(0, len(chosen), A_TRANSACTION):
        done, due_now = replay.apply(
            journal,
            chosen[start : start + A_TRANSACTION],
            handlers=handlers,
            mode=mode,
            actor=actor,
            reason=reason,
            batch=batch,
            delays=delays,
        )
        steps += done
        hints += due_now
    return batch, steps, hints


def models_of(journal: Journal, batch: str) -> set[str | None]:
    """The models that a batch is about (None: an event of no model).

    Raises:
        NotFoundError: there was no such batch.

    """
    ids = _dispatches_of(journal, batch)
    found: set[str | None] = set()
    with journal.read() as connection:
        for chunk in chunks(ids):
            query = select(events.c.model).join(dispatches, dispatches.c.event_id == events.c.id)
            found.update(connection.execute(query.where(dispatches.c.id.in_(chunk))).scalars())
    return found


def cancel(journal: Journal, batch: str, *, actor: str) -> Cancelled:
    """Put back to its end whatever of a batch nobody has begun.

    Raises:
        NotFoundError: there was no such batch.

    """
    ids = _dispatches_of(journal, batch)
    stopped = 0
    for start in range(0, len(ids), A_TRANSACTION):  # in the order in which they would begin
        stopped += _cancel(journal, ids[start : start + A_TRANSACTION], batch, actor)
    return Cancelled(stopped, len(ids) - stopped)


# -- inside ------------------------------------------------------------------------------------


def _delays(rate: float) -> Iterator[timedelta]:
    """When each dispatch begins: so many in each second, the first ones now."""
    return (timedelta(seconds=int(number / rate)) for number in itertools.count())


def _dispatches_of(journal: Journal, batch: str) -> list[str]:
    query = (
        select(audit.c.detail)
        .where(audit.c.verb == "replay", audit.c.target == f"batch {batch}")
        .order_by(audit.c.seq)
    )
    with journal.read() as connection:
        found = connection.execute(query).scalars().all()
    if not found:
        raise NotFoundError(f"There is no batch {batch}; a replay by filter tells its batch.")
    return [each for detail in found for each in detail["dispatch_ids"]]


@retried
def _cancel(journal: Journal, ids: Sequence[str], batch: str, actor: str) -> int:
    with journal.write() as transaction:
        ends = _ends_before(transaction, ids)
        table, note = dispatches.c, f"replay {batch} cancelled by {actor}"
        query = select(dispatches).where(table.id.in_(ids), table.state == "pending")
        rows = transaction.connection.execute(query.order_by(table.id).with_for_update())
        stopped = [(row, ends[row.id]) for row in rows if row.id in ends]
        if stopped:
            _put_back(transaction, stopped, note)
            write_audit(
                transaction,
                actor=actor,
                verb="replay.cancel",
                target=f"batch {batch}",
                detail={"dispatch_ids": [row.id for row, _ in stopped]},
            )
    return len(stopped)


def _ends_before(transaction: Transaction, ids: Sequence[str]) -> dict[str, Row[Any]]:
    """The last end of each dispatch that was replayed, and not tried since."""
    tries: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    query = select(attempts).where(attempts.c.dispatch_id.in_(ids)).order_by(attempts.c.id)
    for row in transaction.connection.execute(query):
        tries[row.dispatch_id].append(row)
    found = {}
    for dispatch_id, mine in tries.items():
        ended = [each for each in mine if each.outcome in ENDS]
        if ended and mine[-1].outcome == "replayed":
            found[dispatch_id] = ended[-1]
    return found


def _put_back(
    transaction: Transaction, stopped: Sequence[tuple[Row[Any], Row[Any]]], note: str
) -> None:
    table = dispatches.c
    ended = ("state", "note", "run", "finished_at")
    transaction.connection.execute(
        update(dispatches)
        .where(table.id == bindparam("b_id"))
        .values(token=table.token + 1, **{name: bindparam(f"b_{name}") for name in ended}),
        [
            {
                "b_id": row.id,
                "b_state": end.outcome,
                "b_note": end.detail or note,
                "b_run": end.run,
                "b_finished_at": end.ended_at,
            }
            for row, end in stopped
        ],
    )
    tried = [
        {
            "dispatch_id": row.id,
            "run": row.run,
            "number": row.attempts,
            "owner": None,
            "ended_at": transaction.now,
            "outcome": "cancelled",
            "detail": note,
        }
        for row, _ in stopped
    ]
    insert_many(transaction.connection, attempts, tried)
