"""Writes events and their dispatches: the only way an event enters the journal.

Rows are gathered while a transaction decides and written together, a few statements however many
events there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, select, tuple_, update

from steward.events import EventType, NewEvent, uuid7
from steward.journal import counters, policies, receipts
from steward.journal.bulk import chunks, insert_many
from steward.journal.routing import Planned
from steward.journal.schema import SEEN_READ, dispatches, events
from steward.journal.store import Journal, Transaction
from steward.ports import Hint

FIRST_HINT_PATIENCE = timedelta(seconds=5)
"""How long a hint may go unanswered before the sweep repeats it, the first time."""


@dataclass(slots=True)
class EventWriter:
    """Gathers the events of one transaction; :meth:`flush` writes them."""

    journal: Journal
    transaction: Transaction
    _events: list[dict[str, Any]] = field(default_factory=list)
    _dispatches: list[dict[str, Any]] = field(default_factory=list)
    _woken: set[tuple[str, str, str, str]] = field(default_factory=set)

    def add(
        self,
        new: NewEvent,
        *,
        seen: int,
        model_id: int | None = None,
        is_routed: bool = True,
        recorded_at: datetime | None = None,
    ) -> str:
        """Gather one event, and its dispatches unless ``is_routed`` is False; returns its id."""
        recorded_at = recorded_at or self.transaction.now
        event_id = uuid7()
        self._events.append(
            {
                "id": event_id,
                "type": str(new.type),
                "source": new.source,
                "model_id": model_id,
                "registry": new.model.registry if new.model else None,
                "workspace": new.model.workspace if new.model else None,
                "model": new.model.name if new.model else None,
                "version": new.version,
                "before": new.before,
                "after": new.after,
                "data": dict(new.data),
                "occurred_at": new.occurred_at or recorded_at,
                "recorded_at": recorded_at,
                "caused_by": new.caused_by,
                "seen": seen,
            }
        )
        if is_routed:
            planned = self.journal.routing.plan(
                new.type, new.model, new.data, policies.channels_for(self.journal, self.transaction)
            )
            self.dispatch(event_id, planned)
            is_news = new.type != EventType.VERSION_CREATED  # nobody waits for what is new
            if new.model and new.version and is_news:
                key = (new.model.registry, new.model.workspace, new.model.name, new.version)
                self._woken.add(key)
        return event_id

    def dispatch(
        self,
        event_id: str,
        planned: list[Planned],
        *,
        note: str = "new",
        delay: timedelta = timedelta(),
        is_patient: bool = False,
    ) -> list[str]:
        """Gather dispatches of an event, to be hinted after the commit if due; returns their ids.

        ``is_patient``: its hint lets other work go first.
        """
        made = []
        for each in planned:
            row = new_dispatch(event_id, each, self.transaction.now, note=note, delay=delay)
            made.append(row["id"])
            self._dispatches.append(row)
            if not delay:
                hint = Hint(row["id"], each.handler, each.queue, is_patient=is_patient)
                self.transaction.hints.append(hint)
        return made

    def flush(self) -> None:
        """Write what was gathered; wake the dispatches that waited for news of these versions."""
        connection = self.transaction.connection
        if self._events:
            insert_many(connection, events, self._events)
            receipts.write(self.transaction, self._events)
            polled = (row["type"] for row in self._events if row["seen"] == SEEN_READ)
            counters.seen_by_poll(self.transaction, polled, 1)
        if self._woken:
            wake_waiting(self.transaction, sorted(self._woken))
        if self._dispatches:
            insert_many(connection, dispatches, self._dispatches)
        self._events, self._dispatches, self._woken = [], [], set()


def new_dispatch(
    event_id: str, planned: Planned, now: datetime, *, note: str, delay: timedelta
) -> dict[str, Any]:
    """The row of a dispatch that nobody has tried yet."""
    return {
        "id": uuid7(),
        "event_id": event_id,
        "handler": planned.handler,
        "target": planned.target,
        "queue": planned.queue,
        "lane": planned.lane,
        "state": "pending",
        "note": note,
        "due_at": now + delay,
        "hint_at": hint_after(now + delay, now),
        "created_at": now,
    }


def hint_after(due: datetime, now: datetime) -> datetime:
    """When the sweep hints a dispatch: when it is due, or when the hint sent now got no answer."""
    return due if due > now else now + FIRST_HINT_PATIENCE


def wake_waiting(transaction: Transaction, keys: list[tuple[str, str, str, str]]) -> None:
    """Make due what waits for news of these versions: (registry, workspace, model, version)."""
    for chunk in chunks(keys):
        rows = transaction.connection.execute(_waiting_for(chunk))
        pending = [(row.id, row.handler, row.queue) for row in rows if row.state == "pending"]
        bring_forward(transaction, pending)


def _waiting_for(keys: Sequence[tuple[str, str, str, str]]) -> Select[Any]:
    subject = tuple_(events.c.registry, events.c.workspace, events.c.model, events.c.version)
    return (
        select(dispatches.c.id, dispatches.c.handler, dispatches.c.queue, dispatches.c.state)
        .join(events, events.c.id == dispatches.c.event_id)
        .where(
            # Column by column as well, and without the state: so SQLite finds the events of these
            # versions by their index, instead of reading every pending dispatch there is.
            events.c.model.in_({key[2] for key in keys}),
            events.c.version.in_({key[3] for key in keys}),
            subject.in_(keys),
            dispatches.c.wait_until.is_not(None),
        )
    )


def bring_forward(transaction: Transaction, rows: list[tuple[str, str, str]]) -> None:
    """Make pending dispatches, given as (id, handler, queue), due now, and hint them."""
    for chunk in chunks([row[0] for row in rows]):
        transaction.connection.execute(
            update(dispatches)
            .where(dispatches.c.id.in_(chunk), dispatches.c.state == "pending")
            .values(due_at=transaction.now, hint_at=transaction.now + FIRST_HINT_PATIENCE, hints=0)
        )
    transaction.hints.extend(Hint(*row) for row in rows)
