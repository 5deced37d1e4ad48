"""Which events an operator asks for, as conditions: those an index answers, and all others."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    cast,
    exists,
    false,
    or_,
    select,
    text,
)

from steward.journal.globs import matches_glob
from steward.journal.schema import SEEN_OWN, SEEN_READ, SEEN_WEBHOOK, dispatches, events

OPEN_STATES = ("pending", "running")
Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: every field that is set must hold. ``text`` looks in model, type and data."""

    type: str | None = None
    model: str | None = None
    version: str | None = None
    status: str | None = None
    source: str | None = None
    seen_by: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    registry: str | None = None
    workspace: str | None = None

    @property
    def is_empty(self) -> bool:
        """True when it would take every event there is."""
        return self == EventFilter()

    def apply(self, query: Select[Any]) -> Select[Any]:
        """Narrow a query over ``events``."""
        return query.where(*self.by_index(), *self.others())

    def by_index(self) -> list[Condition]:
        """Conditions under which one index has the events in order; none is the table itself."""
        conditions = self._conditions()
        return [conditions[name] for name in self._indexed()]

    def others(self) -> list[Condition]:
        """The rest: each event has to be looked at."""
        indexed = self._indexed()
        return [each for name, each in self._conditions().items() if name not in indexed]

    def few(self) -> Select[Any] | None:
        """The ids of the events of this status, where an index has those that are rarely many."""
        states = _STATES.get(self.status or "")
        return None if states is None else select(dispatches.c.event_id).where(states)

    def _indexed(self) -> tuple[str, ...]:
        names = ("model", "version", "type")
        exact = {name for name in names if "*" not in (getattr(self, name) or "*")}
        if "model" in exact:
            return ("model", "version") if "version" in exact else ("model",)
        if self.seen_by == "poll":
            return ("seen_by",)
        return ("type",) if "type" in exact else ()

    def _conditions(self) -> dict[str, Condition]:
        table, found = events.c, dict[str, Condition]()
        for name in ("type", "model", "version", "source", "registry", "workspace"):
            value = getattr(self, name)
            if value is not None:
                is_glob = "*" in value
                found[name] = matches_glob(table[name], value) if is_glob else table[name] == value
        if self.since:
            found["since"] = table.recorded_at >= self.since
        if self.until:
            found["until"] = table.recorded_at < self.until
        if self.seen_by:
            found["seen_by"] = _seen(self.seen_by)
        if self.text:
            found["text"] = _mentions(self.text)
        if self.status:
            found["status"] = _has_status(self.status)
        return found


def _mentions(words: str) -> Condition:
    table = events.c
    columns = (table.id, table.type, table.model, table.version)
    in_json = (cast(table.data, Text), cast(table.after, Text))
    return or_(*(column.icontains(words, autoescape=True) for column in (*columns, *in_json)))


def _seen(word: str) -> Condition:
    table = events.c
    return {
        "webhook": table.seen == SEEN_WEBHOOK,
        # The literal lets the database use the partial index made for this question.
        "poll": table.seen == text(str(SEEN_READ)),
        "both": table.seen == SEEN_WEBHOOK | SEEN_READ,
        "self": or_(table.seen == 0, table.seen >= SEEN_OWN),
    }.get(word, false())


_WAITS = and_(dispatches.c.state == "pending", dispatches.c.wait_until.is_not(None))
_STATES = {
    "open": dispatches.c.state.in_(OPEN_STATES),
    "waiting": _WAITS,
    "dead": dispatches.c.state == "dead",
}


def _has_status(status: str) -> Condition:
    mine = dispatches.c.event_id == events.c.id
    if status in _STATES:
        return exists().where(mine, _STATES[status])
    if status == "done":
        return ~exists().where(mine, dispatches.c.state.in_((*OPEN_STATES, "dead")))
    return false()
