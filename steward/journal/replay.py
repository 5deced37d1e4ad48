"""Replay: an operator asks again. The same row goes back to pending, one run later."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from steward.events import Event
from steward.journal import queries
from steward.journal.audit import write_audit
from steward.journal.bulk import chunks
from steward.journal.endings import Try, write_attempts
from steward.journal.replay_steps import ABSENT, Mode, Step, planned, steps_of
from steward.journal.schema import dispatches, events, to_microseconds
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import EventWriter, hint_after
from steward.ports import Hint


def plan(
    journal: Journal, chosen: Sequence[Event], *, handlers: Sequence[str] | None, mode: Mode
) -> list[Step]:
    """What a replay of these events would do, without doing it."""
    with journal.read() as connection:
        looking = Transaction(connection, journal.now(connection))
        return steps_of(journal, looking, chosen, handlers, mode)


@retried
def apply(
    journal: Journal,
    chosen: Sequence[Event],
    *,
    handlers: Sequence[str] | None,
    mode: Mode,
    actor: str,
    reason: str,
    batch: str | None = None,
    delays: Iterator[timedelta] | None = None,
) -> tuple[list[Step], list[Hint]]:
    """Replay these events; returns what was done and what to hint.

    ``delays`` says of each dispatch when it begins (default: all now); ``batch`` names the whole
    of which this is a part.
    """
    delays = delays or repeat(timedelta())
    note = f"replayed by {actor}" + (f": {reason}" if reason else "")
    with journal.write() as transaction:
        steps = steps_of(journal, transaction, chosen, handlers, mode)
        again = [step for step in steps if step.action in ("replay", "bring_forward")]
        before = _again(transaction, again, actor, note, delays, is_patient=bool(batch))
        steps = _insert(
            journal, transaction, chosen, steps, note=note, delays=delays, is_patient=bool(batch)
        )
        made = [step.dispatch_id for step in steps if step.dispatch_id and step.action == "insert"]
        before |= {each: {"state": ABSENT, "token": 0} for each in made}
        done = [step for step in steps if step.action in ("replay", "bring_forward", "insert")]
        if done:
            event_ids = list(dict.fromkeys(step.event_id for step in done))
            detail = {
                "reason": reason,
                "mode": mode,
                "dispatches": len(done),
                "events": event_ids,
                "dispatch_ids": [step.dispatch_id for step in done],
            }
            write_audit(
                transaction,
                actor=actor,
                verb="replay",
                target=f"batch {batch}" if batch else ", ".join(event_ids),
                # What a cancel puts back stands in the audit: attempts age out.
                detail=detail | ({"before": before} if batch else {}),
            )
    return steps, transaction.hints


def _insert(
    journal: Journal,
    transaction: Transaction,
    chosen: Sequence[Event],
    steps: Sequence[Step],
    *,
    note: str,
    delays: Iterator[timedelta],
    is_patient: bool,
) -> list[Step]:
    """Make the dispatches that are absent; returns the steps with their ids."""
    writer = EventWriter(journal, transaction)
    by_id = {event.id: event for event in chosen}
    done: list[Step] = []
    for step in steps:
        if step.action != "insert":
            done.append(step)
            continue
        handlers_now = planned(journal, transaction, by_id[step.event_id])
        [made] = writer.dispatch(
            step.event_id,
            [p for p in handlers_now if (p.handler, p.target) == (step.handler, step.target)],
            note=note,
            delay=next(delays),
            is_patient=is_patient,
        )
        done.append(replace(step, dispatch_id=made))
    writer.flush()
    return done


def _again(
    transaction: Transaction,
    steps: Sequence[Step],
    actor: str,
    note: str,
    delays: Iterator[timedelta],
    *,
    is_patient: bool,
) -> dict[str, dict[str, Any]]:
    """Replay or bring forward; returns by id what each was before, and what it is now.

    Every transition is conditional: a dispatch that moved on since it was looked at is left.
    """
    now = transaction.now
    before: dict[str, dict[str, Any]] = {}
    rows = _locked(transaction, [step.dispatch_id for step in steps if step.dispatch_id])
    moved: dict[str, list[dict[str, Any]]] = {"replay": [], "bring_forward": []}
    tried = []
    for step in steps:
        row = rows.get(step.dispatch_id or "")
        if row is None or row.state != step.state:
            continue
        due = now + next(delays)
        if step.action == "bring_forward":
            due = max(now, min(due, row.due_at))
        else:
            tried.append(Try(row.id, step.run, row.attempts, actor, None))
        before[row.id] = _before(row, step, due)
        moved[step.action].append(
            {"b_id": row.id, "b_due_at": due, "b_hint_at": hint_after(due, now), "b_run": step.run}
        )
        if due <= now:
            transaction.hints.append(Hint(row.id, row.handler, row.queue, is_patient=is_patient))
    for action, rows_moved in moved.items():
        if rows_moved:
            values = _DUE_THEN | (_ANEW | {"note": note} if action == "replay" else {})
            transaction.connection.execute(_MOVE.values(values), rows_moved)
    write_attempts(transaction, tried, "replayed", note)
    return before


_MOVE = update(dispatches).where(dispatches.c.id == bindparam("b_id"))
_DUE_THEN = {"due_at": bindparam("b_due_at"), "hint_at": bindparam("b_hint_at"), "hints": 0}
_ANEW = {
    "state": "pending",
    "run": bindparam("b_run"),
    "failures": 0,
    "finished_at": None,
    "wait_until": None,
    "token": dispatches.c.token + 1,
}


def _before(row: Row[Any], step: Step, due: datetime) -> dict[str, Any]:
    """What undoes a step (times in microseconds); ``token`` is that of a dispatch not begun since.

    A claim, another replay and a cancel each raise the token.
    """
    known = {"state": row.state, "note": row.note, "run": row.run, "failures": row.failures}
    if step.action == "bring_forward":
        times = {"due_at": to_microseconds(row.due_at), "brought_to": to_microseconds(due)}
        return {**known, **times, "token": row.token}
    ended_at = row.finished_at and to_microseconds(row.finished_at)
    return {**known, "finished_at": ended_at, "token": row.token + 1}


def _locked(transaction: Transaction, ids: Sequence[str]) -> dict[str, Row[Any]]:
    """These dispatches as they are now, and stay until the end of the transaction."""
    found = {}
    for chunk in chunks(sorted(ids)):
        query = select(dispatches).where(dispatches.c.id.in_(chunk)).order_by(dispatches.c.id)
        for row in transaction.connection.execute(query.with_for_update()):
            found[row.id] = row
    return found


def choose(journal: Journal, which: queries.EventFilter, *, limit: int) -> list[Event]:
    """Events of a filter, oldest first: a replay goes in the order in which things happened."""
    with journal.read() as connection:
        query = which.apply(select(events)).order_by(events.c.seq).limit(limit)
        return [queries.event_of(row) for row in connection.execute(query)]
