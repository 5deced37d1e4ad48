"""Records what became of a claimed dispatch: done, skipped, waiting, failed or handed back."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from steward.events import Event, NewEvent
from steward.failpoints import failpoint
from steward.journal import readings
from steward.journal.champions import MADE_IT
from steward.journal.claims import Claimed, lost, update_claimed
from steward.journal.endings import Try, close_intents, hint_lane, record_death, write_attempt
from steward.journal.history import pause_of
from steward.journal.observed import ObservedState
from steward.journal.schema import SEEN_OWN, dispatches, events, intents
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import EventWriter
from steward.ports import Done, Hint, Skipped, Wait


@retried
def record(journal: Journal, claimed: Claimed, outcome: Done | Skipped | Wait) -> list[Hint]:
    """Record what a handler returned, in one transaction; returns what to hint now.

    Raises:
        LeaseLostError: the lease was taken; nothing was recorded.

    """

    def write(transaction: Transaction) -> list[Hint]:
        writer = EventWriter(journal, transaction)
        if isinstance(outcome, Wait):
            _record_wait(transaction, writer, claimed, outcome)
        else:
            state = "succeeded" if isinstance(outcome, Done) else "skipped"
            note = outcome.note if isinstance(outcome, Done) else outcome.reason
            _finish(transaction, claimed, state, note or "done")
            if isinstance(outcome, Done):
                _record_facts(transaction, writer, claimed, outcome)
            else:
                _dispatch_too(transaction, writer, claimed, outcome.then)
        writer.flush()
        hint_lane(transaction, claimed.work.lane)
        failpoint("record.before_commit")
        return transaction.hints

    return journal.write_together(write)


@retried
def fail(
    journal: Journal, claimed: Claimed, error: str, *, retry_in_seconds: float | None
) -> list[Hint]:
    """Record a failed attempt: pending again after a while, or dead (None)."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        failures = claimed.work.failures + 1
        if retry_in_seconds is None:
            _finish(transaction, claimed, "dead", error, failures=failures)
            record_death(transaction, writer, _dispatch_row(transaction, claimed), error)
        else:
            due = transaction.now + timedelta(seconds=retry_in_seconds)
            note = f"retry {failures}: {error}"
            _put_back(transaction, claimed, due, note, failures=failures, outcome="failed")
        writer.flush()
        hint_lane(transaction, claimed.work.lane)
    return transaction.hints


@retried
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


# -- inside ------------------------------------------------------------------------------------


# Built once: SQLAlchemy takes longer to build a statement than SQLite to execute it.
_FINISH = (
    update(dispatches)
    .where(
        dispatches.c.id == bindparam("b_id"),
        dispatches.c.state == "running",
        dispatches.c.token == bindparam("b_token"),
    )
    .values(
        state=bindparam("b_state"),
        note=bindparam("b_note"),
        failures=bindparam("b_failures"),
        owner=None,
        lease_until=None,
        wait_until=None,
        finished_at=bindparam("b_now"),
    )
)


def _finish(
    transaction: Transaction,
    claimed: Claimed,
    state: str,
    note: str,
    *,
    failures: int | None = None,
) -> None:
    finished = {
        "b_id": claimed.work.dispatch_id,
        "b_token": claimed.token,
        "b_state": state,
        "b_note": note,
        "b_failures": claimed.work.failures if failures is None else failures,
        "b_now": transaction.now,
    }
    if transaction.connection.execute(_FINISH, finished).rowcount == 0:
        raise lost(claimed)
    close_intents(transaction, claimed.work.dispatch_id)
    write_attempt(transaction, _try_of(claimed), state, note)


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
    update_claimed(
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
    write_attempt(transaction, _try_of(claimed), outcome, note)


def _record_wait(
    transaction: Transaction, writer: EventWriter, claimed: Claimed, wait: Wait
) -> None:
    due = min(wait.until, transaction.now + timedelta(seconds=wait.check_seconds))
    if _has_news_since_claim(transaction, claimed) or _has_resumed(transaction, claimed, wait):
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
    _dispatch_too(transaction, writer, claimed, wait.then)


def _dispatch_too(
    transaction: Transaction, writer: EventWriter, claimed: Claimed, handlers: tuple[str, ...]
) -> None:
    """Dispatch other handlers of the same event, those that it has no dispatch of yet."""
    if not handlers:
        return
    present = select(dispatches.c.handler).where(dispatches.c.event_id == claimed.event.id)
    known = set(transaction.connection.execute(present).scalars())
    missing = tuple(handler for handler in handlers if handler not in known)
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


def _has_resumed(transaction: Transaction, claimed: Claimed, wait: Wait) -> bool:
    """Whether the pause that it would wait for is over; one that ends later finds it waiting."""
    if not wait.is_pause:
        return False
    return pause_of(transaction.connection, claimed.event.model, is_kept=True) is None


def _record_facts(
    transaction: Transaction, writer: EventWriter, claimed: Claimed, done: Done
) -> None:
    cause = claimed.event.id
    for new in done.events:
        cause = writer.add(_caused(new, claimed.event), seen=0, model_id=claimed.model_id)
    if done.readings:
        # Else a handler only followed what a person did, mirror or not, or told of a violation.
        has_made_it = any(new.type in MADE_IT for new in done.events)
        is_own = has_made_it and _has_intents(transaction, claimed)
        state = ObservedState(transaction, writer)
        readings.record(state, done.readings, caused_by=cause, is_own=is_own)
        state.flush()


def _has_intents(transaction: Transaction, claimed: Claimed) -> bool:
    query = select(intents.c.id).where(
        intents.c.dispatch_id == claimed.work.dispatch_id, intents.c.run == claimed.work.run
    )
    return transaction.connection.execute(query.limit(1)).first() is not None


def _caused(new: NewEvent, event: Event) -> NewEvent:
    return replace(
        new,
        caused_by=new.caused_by or event.id,
        model=new.model or event.model,
        version=new.version if new.version is not None else event.version,
    )


def _try_of(claimed: Claimed) -> Try:
    work = claimed.work
    return Try(work.dispatch_id, work.run, claimed.attempt, claimed.owner, claimed.claimed_at)


def _dispatch_row(transaction: Transaction, claimed: Claimed) -> Row[Any]:
    query = select(dispatches).where(dispatches.c.id == claimed.work.dispatch_id)
    return transaction.connection.execute(query).one()


def _hint_of(claimed: Claimed) -> Hint:
    return Hint(claimed.work.dispatch_id, claimed.work.handler, claimed.queue)
