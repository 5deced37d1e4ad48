"""What a replay would do to each dispatch: decided from the rows, nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, select

from steward.events import Event, EventType
from steward.journal import policies, queries
from steward.journal.bulk import chunks
from steward.journal.routing import Planned
from steward.journal.schema import SEEN_OWN, events
from steward.journal.store import Journal, Transaction

Mode = Literal["failed", "all"]
ABSENT = "absent"
"""The state of a dispatch that a replay inserts."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a replay does (or would do) to one dispatch.

    ``action``: replay, bring_forward, insert, refuse (it is running) or keep (not asked for).
    """

    event_id: str
    event_type: str
    handler: str
    target: str
    state: str
    action: str
    run: int
    dispatch_id: str | None = None


def steps_of(
    journal: Journal,
    transaction: Transaction,
    chosen: Sequence[Event],
    handlers: Sequence[str] | None,
    mode: Mode,
) -> list[Step]:
    """What a replay of these events does to each of their dispatches, present or absent."""
    ids = [event.id for event in chosen]
    grouped = queries.dispatches_of(transaction.connection, ids)
    own = _own_writes(transaction, ids)
    steps: list[Step] = []
    for event in chosen:
        rows = grouped.get(event.id, [])
        wanted = [row for row in rows if handlers is None or row.handler in handlers]
        steps.extend(_step(event, row, mode) for row in wanted)
        if mode == "all" and event.id not in own:
            present = {(row.handler, row.target) for row in rows}
            steps.extend(
                Step(event.id, event.type, p.handler, p.target, ABSENT, "insert", 1)
                for p in planned(journal, transaction, event)
                if (p.handler, p.target) not in present
                and (handlers is None or p.handler in handlers)
            )
    return steps


def _own_writes(transaction: Transaction, event_ids: list[str]) -> set[str]:
    """Those that told of our own registry writes: they wake nobody, replayed or not."""
    own: set[str] = set()
    for chunk in chunks(event_ids):
        query = select(events.c.id).where(
            events.c.id.in_(chunk),
            events.c.seen >= SEEN_OWN,
            events.c.type != EventType.CHAMPION_CHANGED,
        )
        own.update(transaction.connection.execute(query).scalars())
    return own


def _step(event: Event, row: Row[Any], mode: Mode) -> Step:
    if row.state == "running":
        action = "refuse"
    elif row.state == "pending":
        action = "bring_forward"
    elif row.state == "dead" or mode == "all":
        action = "replay"
    else:
        action = "keep"
    run = row.run + 1 if action == "replay" else row.run
    return Step(event.id, event.type, row.handler, row.target, row.state, action, run, row.id)


def planned(journal: Journal, transaction: Transaction, event: Event) -> list[Planned]:
    """The dispatches that an event would get today."""
    channels_for = policies.channels_for(journal, transaction)
    return journal.routing.plan(event.type, event.model, event.data, channels_for)
