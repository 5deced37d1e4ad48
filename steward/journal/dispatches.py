"""Claims dispatches and records what became of them: leases, lanes, waits, failures.

Every transition is one conditional update; where no row changed somebody was faster, and the caller
stops silently. A worker whose lease was taken cannot record, because every later write carries the
token of its claim.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from steward.errors import LeaseLostError
from steward.events import Event, EventType, NewEvent
from steward.journal import readings
from steward.journal.observed import ObservedState
from steward.journal.queries import event_of
from steward.journal.schema import SEEN_OWN, attempts, dispatches, events, intents
from steward.journal.store import Journal, Transaction
from steward.journal.writing import FIRST_HINT_PATIENCE, EventWriter
from steward.ports import Done, Hint, Skipped, Wait, Work

NOTIFY = "notify"  # the one handler whose death is not told by itself


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


def claim(
    journal: Journal, dispatch_id: str, owner: str, *, lease_seconds: float
) -> Claimed | None:
    """Take a dispatch, or the oldest due one of its lane; None when there is nothing to take."""
    try:
        with journal.write() as transaction:
            row = _next_due(transaction, dispatch_id)
            return _take(transaction, row, owner, lease_seconds) if row else None
    except IntegrityError:  # another worker runs in this lane
        return None


def heartbeat(journal: Journal, claimed: Claimed, *, lease_seconds: float) -> None:
    """Extend the lease. LeaseLostError when somebody else owns the dispatch now."""
    with journal.write() as transaction:
        until = transaction.now + timedelta(seconds=lease_seconds)
        _update_claimed(transaction, claimed, {"lease_until": until})


def hold(transaction: Transaction, claimed: Claimed) -> None:
    """Make sure, inside a write, that the dispatch is still ours: a zombie writes nothing.

    Raises:
        LeaseLostError: somebody else owns it now.

    """
    query = select(dispatches.c.id).where(*_is_ours(claimed)).with_for_update()
    if transaction.connection.execute(query).first() is None:
        raise _lost(claimed)


def record(journal: Journal, claimed: Claimed, outcome: Done | Skipped | Wait) -> list[Hint]:
    """Record what a handler returned, in one transaction; returns what to hint now.

    Raises:
        LeaseLostError: the lease was taken; nothing was recorded.

    """
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        if isinstance(outcome, Wait):
            _record_wait(transaction, writer, claimed, outcome)
        else:
            state = "succeeded" if isinstance(outcome, Done) else "skipped"
            note = outcome.note if isinstance(outcome, Done) else outcome.reason
            _finish(transaction, claimed, state, note or "done")
            if isinstance(outcome, Done):
                _record_facts(transaction, writer, claimed, outcome)
        writer.flush()
        _hint_lane(transaction, claimed.work.lane)
    return transaction.hints


def fail(
    journal: Journal, claimed: Claimed, error: str, *, retry_in_seconds: float | None
) -> list[Hint]:
    """Record a failed attempt: pending again after a while, or dead (None)."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        failures = claimed.work.failures + 1
        if retry_in_seconds is None:
            _finish(transaction, claimed, "dead", error, failures=failures)
            _record_death(transaction, writer, _dispatch_row(transaction, claimed), error)
        else:
            due = transaction.now + timedelta(seconds=retry_in_seconds)
            note = f"retry {failures}: {error}"
            _put_back(transaction, claimed, due, note, failures=failures, outcome="failed")
        writer.flush()
        _hint_lane(transaction, claimed.work.lane)
    return transaction.hints


def release(journal: Journal, claimed: Claimed) -> list[Hint]:
    """Hand a dispatch back at once, without a failure: the worker was told to stop."""
    with journal.write() as transaction:
        _put_back(
            transaction,
            claimed,
            transaction.now,
            "handed back: the worker stopped",
            failures=claimed.work.failures,
            outcome="released",
        )
        transaction.hints.append(_hint_of(claimed))
    return transaction.hints


def expire(journal: Journal, *, failures_allowed: int) -> tuple[int, list[Hint]]:
    """Take back what expired leases hold; the last failure allowed ends as dead."""
    table = dispatches.c
    with journal.read() as connection:  # nearly always there is none: write nothing then
        ended = select(table.id).where(
            table.state == "running", table.lease_until < journal.now(connection)
        )
        if connection.execute(ended.limit(1)).first() is None:
            return 0, []
    with journal.write() as transaction:
        query = select(dispatches).where(
            table.state == "running", table.lease_until < transaction.now
        )
        rows = transaction.connection.execute(query.with_for_update(skip_locked=True)).all()
        writer = EventWriter(journal, transaction)
        for row in rows:
            error = f"the worker {row.owner} stopped answering; its lease ended"
            failures = row.failures + 1
            is_dead = failures >= failures_allowed
            values: dict[str, Any] = {
                "state": "dead" if is_dead else "pending",
                "note": error,
                "failures": failures,
                "owner": None,
                "lease_until": None,
                "wait_until": None,
                "token": row.token + 1,
                "due_at": transaction.now,
                "hint_at": transaction.now + FIRST_HINT_PATIENCE,
                "finished_at": transaction.now if is_dead else None,
            }
            _attempt(transaction, row, "dead" if is_dead else "expired", error)
            transaction.connection.execute(
                update(dispatches).where(table.id == row.id).values(values)
            )
            if is_dead:
                _close_intents(transaction, row.id)
                _record_death(transaction, writer, row, error)
                _hint_lane(transaction, row.lane)
            else:
                transaction.hints.append(Hint(row.id, row.handler, row.queue))
        writer.flush()
    return len(rows), transaction.hints


# -- inside ------------------------------------------------------------------------------------


def _next_due(transaction: Transaction, dispatch_id: str) -> Row[Any] | None:
    table = dispatches.c
    connection = transaction.connection
    named = connection.execute(select(dispatches).where(table.id == dispatch_id)).first()
    if named is None:
        return None
    due = select(dispatches).where(table.state == "pending", table.due_at <= transaction.now)
    if named.lane is None:
        return connection.execute(due.where(table.id == dispatch_id)).first()
    running = select(table.id).where(table.lane == named.lane, table.state == "running")
    if connection.execute(running).first():
        return None
    in_lane = due.where(table.lane == named.lane).order_by(table.created_at, table.id).limit(1)
    return connection.execute(in_lane).first()


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


def _update_claimed(transaction: Transaction, claimed: Claimed, values: Mapping[str, Any]) -> None:
    changed = transaction.connection.execute(
        update(dispatches).where(*_is_ours(claimed)).values(**values)
    )
    if changed.rowcount == 0:
        raise _lost(claimed)


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


def _finish(transaction: Transaction, claimed: Claimed, state: str, note: str, **more: Any) -> None:
    _update_claimed(
        transaction,
        claimed,
        {
            "state": state,
            "note": note,
            "owner": None,
            "lease_until": None,
            "wait_until": None,
            "finished_at": transaction.now,
            **more,
        },
    )
    _close_intents(transaction, claimed.work.dispatch_id)
    _attempt(transaction, _dispatch_row(transaction, claimed), state, note, owner=claimed.owner)


def _put_back(
    transaction: Transaction,
    claimed: Claimed,
    due_at: datetime,
    note: str,
    *,
    failures: int,
    outcome: str,
    wait_until: datetime | None = None,
) -> None:
    _update_claimed(
        transaction,
        claimed,
        {
            "state": "pending",
            "note": note,
            "owner": None,
            "lease_until": None,
            "due_at": due_at,
            "hint_at": due_at,
            "hints": 0,
            "wait_until": wait_until,
            "failures": failures,
        },
    )
    _attempt(transaction, _dispatch_row(transaction, claimed), outcome, note, owner=claimed.owner)


def _record_wait(
    transaction: Transaction, writer: EventWriter, claimed: Claimed, wait: Wait
) -> None:
    due = min(wait.until, transaction.now + timedelta(seconds=wait.check_seconds))
    if _has_news_since_claim(transaction, claimed):
        due = transaction.now  # it came while the handler looked, and found nobody waiting
        transaction.hints.append(_hint_of(claimed))
    _put_back(
        transaction,
        claimed,
        max(due, transaction.now),
        wait.reason,
        failures=claimed.work.failures,
        outcome="waiting",
        wait_until=wait.until,
    )
    present = select(dispatches.c.handler).where(dispatches.c.event_id == claimed.event.id)
    known = set(transaction.connection.execute(present).scalars())
    missing = tuple(handler for handler in wait.then if handler not in known)
    writer.dispatch(
        claimed.event.id, writer.journal.routing.planned_for(missing, claimed.event.model)
    )


def _has_news_since_claim(transaction: Transaction, claimed: Claimed) -> bool:
    model, version = claimed.event.model, claimed.event.version
    if model is None or version is None:
        return False
    table = events.c
    query = select(table.id).where(
        table.model == model.name,
        table.version == version,
        table.registry == model.registry,
        table.workspace == model.workspace,
        table.recorded_at > claimed.claimed_at,
        table.seen < SEEN_OWN,
        table.id != claimed.event.id,
    )
    return transaction.connection.execute(query.limit(1)).first() is not None


def _record_facts(
    transaction: Transaction, writer: EventWriter, claimed: Claimed, done: Done
) -> None:
    cause = claimed.event.id
    for new in done.events:
        cause = writer.add(_caused(new, claimed.event), seen=0, model_id=claimed.model_id)
    mine = (
        intents.c.dispatch_id == claimed.work.dispatch_id,
        intents.c.run == claimed.work.run,
    )
    has_intents = transaction.connection.execute(select(intents.c.id).where(*mine)).first()
    if done.readings:
        state = ObservedState(transaction, writer)
        readings.record(state, done.readings, caused_by=cause, is_own=has_intents is not None)
        state.flush()


def _close_intents(transaction: Transaction, dispatch_id: str) -> None:
    """An intent ends with its dispatch, also a dead one's, which may have been written or not.

    Left open, it would make the same change by a person, months later, look like ours.
    """
    transaction.connection.execute(
        update(intents)
        .where(intents.c.dispatch_id == dispatch_id, intents.c.fulfilled_at.is_(None))
        .values(fulfilled_at=transaction.now)
    )


def _caused(new: NewEvent, event: Event) -> NewEvent:
    return replace(
        new,
        caused_by=new.caused_by or event.id,
        model=new.model or event.model,
        version=new.version if new.version is not None else event.version,
    )


def _record_death(transaction: Transaction, writer: EventWriter, row: Row[Any], error: str) -> None:
    if row.handler == NOTIFY:
        return  # a channel that is down would be told of itself: metrics and health say it
    event_row = transaction.connection.execute(
        select(events).where(events.c.id == row.event_id)
    ).one()
    event = event_of(event_row)
    writer.add(
        NewEvent(
            EventType.DISPATCH_DIED,
            event.model,
            event.version,
            data={
                "handler": row.handler,
                "target": row.target,
                "dispatch_id": row.id,
                "event_id": event.id,
                "event_type": event.type,
                "error": error,
                "attempts": row.attempts,
            },
            caused_by=event.id,
        ),
        seen=0,
        model_id=event_row.model_id,
    )


def _dispatch_row(transaction: Transaction, claimed: Claimed) -> Row[Any]:
    query = select(dispatches).where(dispatches.c.id == claimed.work.dispatch_id)
    return transaction.connection.execute(query).one()


def _attempt(
    transaction: Transaction, row: Row[Any], outcome: str, detail: str, owner: str | None = None
) -> None:
    """Write down one attempt; a wait that goes on for the same reason is counted, not repeated."""
    connection = transaction.connection
    if outcome == "waiting":
        last = connection.execute(
            select(attempts)
            .where(attempts.c.dispatch_id == row.id)
            .order_by(attempts.c.id.desc())
            .limit(1)
        ).first()
        if last and (last.outcome, last.detail, last.run) == (outcome, detail, row.run):
            connection.execute(
                update(attempts)
                .where(attempts.c.id == last.id)
                .values(ended_at=transaction.now, repeats=last.repeats + 1)
            )
            return
    connection.execute(
        insert(attempts).values(
            dispatch_id=row.id,
            run=row.run,
            number=row.attempts,
            owner=owner or row.owner,
            started_at=row.claimed_at,
            ended_at=transaction.now,
            outcome=outcome,
            detail=detail,
        )
    )


def _hint_of(claimed: Claimed) -> Hint:
    return Hint(claimed.work.dispatch_id, claimed.work.handler, claimed.queue)


def _hint_lane(transaction: Transaction, lane: str | None) -> None:
    """Who finishes looks for the lane's next."""
    if lane is None:
        return
    table = dispatches.c
    query = (
        select(table.id, table.handler, table.queue)
        .where(table.lane == lane, table.state == "pending", table.due_at <= transaction.now)
        .order_by(table.created_at, table.id)
        .limit(1)
    )
    row = transaction.connection.execute(query).first()
    if row and row.id not in {hint.dispatch_id for hint in transaction.hints}:
        transaction.hints.append(Hint(row.id, row.handler, row.queue))
