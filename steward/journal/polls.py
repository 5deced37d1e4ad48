"""Where the poll of each registry stands, and which versions it asks for late metrics.

The poller reads and writes it; ``/api/v1/health`` shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update

from steward.events import EventType, ModelRef
from steward.journal.schema import dispatches, events, installation, polls
from steward.journal.store import Journal, insert_or_ignore
from steward.journal.verdicts import is_decision

HELD_FOR = timedelta(days=7)
"""How long a version that was held as incomplete is asked for late metrics."""

Version = tuple[ModelRef, str]


@dataclass(frozen=True, slots=True)
class PollState:
    """The poll of one registry. ``position`` is the poller's own; ``now`` the database's time.

    ``baseline_at``: when the registry was first read completely; ``completed_at``: when a poll last
    ended well; ``swept_at``: when everything had been read once more; ``last_error``: what was
    wrong at the last poll, None when all was well.
    """

    registry: str
    now: datetime
    journal_began_at: datetime
    position: Mapping[str, Any] = field(default_factory=dict)
    baseline_at: datetime | None = None
    completed_at: datetime | None = None
    swept_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class AwaitingMetrics:
    """Versions whose validation waits, and those that were held as incomplete lately."""

    waiting: list[Version]
    held: list[Version]


def state_of(journal: Journal, registry: str) -> PollState:
    """Where the poll of a registry stands; a registry that was never polled has no times."""
    with journal.read() as connection:
        now = journal.now(connection)
        began = connection.execute(select(installation.c.created_at)).scalar_one()
        row = connection.execute(select(polls).where(polls.c.registry == registry)).first()
    if row is None:
        return PollState(registry, now, began)
    return PollState(
        registry,
        now,
        began,
        row.position,
        row.baseline_at,
        row.completed_at,
        row.swept_at,
        row.last_error,
    )


def save_completed(
    journal: Journal,
    registry: str,
    position: Mapping[str, Any],
    *,
    is_baseline: bool,
    is_swept: bool,
    problem: str | None,
) -> None:
    """A poll ended well; ``problem`` is what it had to leave out."""
    with journal.write() as transaction:
        values: dict[str, Any] = {
            "position": position,
            "completed_at": transaction.now,
            "last_error": problem,
        }
        if is_baseline:
            values["baseline_at"] = transaction.now
        if is_swept:
            values["swept_at"] = transaction.now
        transaction.connection.execute(
            insert_or_ignore(transaction.connection, polls).values(registry=registry, position={})
        )
        transaction.connection.execute(
            update(polls).where(polls.c.registry == registry).values(values)
        )


def save_failed(journal: Journal, registry: str, error: str) -> None:
    """A poll did not end; its position stays."""
    with journal.write() as transaction:
        transaction.connection.execute(
            insert_or_ignore(transaction.connection, polls).values(registry=registry, position={})
        )
        transaction.connection.execute(
            update(polls).where(polls.c.registry == registry).values(last_error=error)
        )


def awaiting_metrics(journal: Journal, registry: str) -> AwaitingMetrics:
    """Whose metrics to look for: of these versions and of no others."""
    dispatch, event = dispatches.c, events.c
    waiting = (
        select(event.workspace, event.model, event.version)
        .join(dispatches, dispatch.event_id == event.id)
        .where(
            dispatch.state == "pending",
            dispatch.wait_until.is_not(None),
            dispatch.handler == "validate",
            event.registry == registry,
            event.version.is_not(None),
        )
        .order_by(dispatch.created_at)
    )
    code = event.data["code"].as_string().label("code")
    with journal.read() as connection:
        decided = (
            select(event.workspace, event.model, event.version, event.type, code)
            .where(
                or_(is_decision(), event.type == EventType.VALIDATED),
                event.recorded_at >= journal.now(connection) - HELD_FOR,
                event.registry == registry,
            )
            .order_by(event.seq)
        )
        wait_rows = connection.execute(waiting).all()
        latest = {
            (row.workspace, row.model, row.version): (row.type, row.code)
            for row in connection.execute(decided)
        }
    found = dict.fromkeys(
        (ModelRef(row.model, registry, row.workspace), row.version) for row in wait_rows
    )
    held = (
        (ModelRef(model, registry, workspace), version)
        for (workspace, model, version), standing in latest.items()
        if standing == (EventType.HELD, "incomplete")
    )
    return AwaitingMetrics(list(found), [version for version in held if version not in found])
