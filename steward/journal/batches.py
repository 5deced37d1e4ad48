"""Replays of many events: begun a few a second, in short transactions, and cancelled if asked.

A batch is known by its rows in the audit, which name its dispatches and what each was before.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from steward.errors import JournalUnavailableError, NotFoundError
from steward.events import Event, uuid7
from steward.journal import replay
from steward.journal.audit import write_audit
from steward.journal.bulk import chunks
from steward.journal.endings import Try, write_attempts
from steward.journal.replay_steps import ABSENT, Mode, Step
from steward.journal.schema import (
    audit,
    dispatches,
    events,
    from_microseconds,
    to_microseconds,
)
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import hint_after
from steward.ports import Hint

A_TRANSACTION = 50
"""Deliveries wait for the same lock, so no transaction of a batch may take long."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """How many dispatches are as they were before, and how many had begun and were left."""

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

    A journal that goes away in the middle leaves a part. To ask again goes on with the rest in
    mode ``failed``; in mode ``all`` what of that part has ended runs once more, and its messages
    are sent again: cancel the batch first.

    Raises:
        JournalUnavailableError: it names the batch, and how many events it has.

    """
    batch, delays = uuid7()[-12:], _delays(rate)
    steps: list[Step] = []
    hints: list[Hint] = []
    for start in range(0, len(chosen), A_TRANSACTION):
        try:
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
        except JournalUnavailableError as error:
            raise JournalUnavailableError(_interrupted(batch, start, len(chosen), error)) from error
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
    """Put back as it was whatever of a batch nobody has begun.

    What ended before ends again, what was brought forward is due when it was, and what the batch
    inserted ends as skipped: it is named in the audit and in hints, and stays to be replayed. To
    ask again is safe, and counts what was cancelled before.

    Raises:
        NotFoundError: there was no such batch.

    """
    ids, known = _dispatches_of(journal, batch), _details(journal, batch, "replay.cancel")
    cancelled = {each for detail in known for each in detail["dispatch_ids"]}
    rest = [each for each in ids if each not in cancelled]
    before = {
        each: was
        for detail in _details(journal, batch, "replay")
        for each, was in detail.get("before", {}).items()
    }
    stopped = len(ids) - len(rest)
    for start in range(0, len(rest), A_TRANSACTION):  # in the order in which they would begin
        part = {
            each: before[each] for each in rest[start : start + A_TRANSACTION] if each in before
        }
        stopped += _cancel(journal, part, batch, actor)
    return Cancelled(stopped, len(ids) - stopped)


# -- inside ------------------------------------------------------------------------------------


def _delays(rate: float) -> Iterator[timedelta]:
    """When each dispatch begins: so many in each second, the first ones now."""
    return (timedelta(seconds=int(number / rate)) for number in itertools.count())


def _interrupted(batch: str, begun: int, asked: int, error: JournalUnavailableError) -> str:
    reason = str(error).rstrip(".")
    if not begun:
        return f"{reason}. Of batch {batch} nothing is known to be replayed."
    return (
        f"{reason}. Batch {batch} has the first {begun} of {asked} events; "
        f"steward events replay --cancel {batch} ends what of them has not begun."
    )


def _dispatches_of(journal: Journal, batch: str) -> list[str]:
    found = _details(journal, batch, "replay")
    if not found:
        raise NotFoundError(f"There is no batch {batch}; a replay by filter tells its batch.")
    return [each for detail in found for each in detail["dispatch_ids"]]


def _details(journal: Journal, batch: str, verb: str) -> list[dict[str, Any]]:
    """What the audit says of a batch, oldest first."""
    query = select(audit.c.detail).where(audit.c.verb == verb, audit.c.target == f"batch {batch}")
    with journal.read() as connection:
        return list(connection.execute(query.order_by(audit.c.seq)).scalars())


@retried
def _cancel(journal: Journal, before: Mapping[str, dict[str, Any]], batch: str, actor: str) -> int:
    with journal.write() as transaction:
        note = f"replay {batch} cancelled by {actor}"
        rows = [row for row in _pending(transaction, before) if _is_as_replayed(row, before)]
        if rows:
            changes = [_undone(row, before[row.id], note, transaction.now) for row in rows]
            transaction.connection.execute(_PUT_BACK, changes)
            ended = [row for row in rows if before[row.id]["state"] != "pending"]
            tried = [Try(row.id, row.run, row.attempts, None, None) for row in ended]
            write_attempts(transaction, tried, "cancelled", note)
            write_audit(
                transaction,
                actor=actor,
                verb="replay.cancel",
                target=f"batch {batch}",
                detail={"dispatch_ids": [row.id for row in rows]},
            )
    return len(rows)


def _pending(transaction: Transaction, ids: Collection[str]) -> Sequence[Row[Any]]:
    """Locked, so that nobody begins one that we take for not begun."""
    query = select(dispatches).where(dispatches.c.id.in_(ids), dispatches.c.state == "pending")
    return transaction.connection.execute(query.order_by(dispatches.c.id).with_for_update()).all()


def _is_as_replayed(row: Row[Any], before: Mapping[str, dict[str, Any]]) -> bool:
    """Nobody has claimed it since, also not to put it back, nor has another replay taken it."""
    return bool(row.token == before[row.id]["token"])


_UNDONE = ("state", "note", "run", "failures", "finished_at", "due_at", "hint_at")
_PUT_BACK = (
    update(dispatches)
    .where(dispatches.c.id == bindparam("b_id"))
    .values(
        token=bindparam("b_token"),
        **{name: bindparam(f"b_{name}", type_=dispatches.c[name].type) for name in _UNDONE},
    )
)


def _undone(row: Row[Any], was: Mapping[str, Any], note: str, now: datetime) -> dict[str, Any]:
    """What a dispatch that nobody has begun was before the batch."""
    values = {name: getattr(row, name) for name in _UNDONE}
    if was["state"] == ABSENT:
        values |= {"state": "skipped", "note": note, "finished_at": now}
    elif was["state"] != "pending":
        ended_at = was["finished_at"] and from_microseconds(was["finished_at"])
        values |= {name: was[name] for name in ("state", "note", "run", "failures")}
        values["finished_at"] = ended_at
    elif to_microseconds(row.due_at) == was["brought_to"]:  # nothing else made it due
        values["due_at"] = from_microseconds(was["due_at"])
        values["hint_at"] = hint_after(values["due_at"], now)
    # A worker with a hint finds nothing to claim; what goes on as it was keeps its token.
    token = row.token + (was["state"] != "pending")
    return {"b_id": row.id, "b_token": token} | {f"b_{name}": it for name, it in values.items()}
