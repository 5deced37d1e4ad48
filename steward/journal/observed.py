"""Observed state: what we last knew of each facet. Comparing with it is how news is told from echo.

A webhook, the poller and a handler's read-back all come here, inside one transaction, under the
lock of the model's row. Equal to what we knew: joined to the event that told us. Different: an
event, unless what we knew is fresher. Our own writes are recognised by their intents.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, tuple_, update

from steward.events import ModelRef, NewEvent
from steward.journal import own_writes
from steward.journal.bulk import chunks, insert_many
from steward.journal.facets import CHAMPION, STAGE, change, version_meant
from steward.journal.model_rows import lock_or_make
from steward.journal.schema import SEEN_OWN, SEEN_READ, events, observed
from steward.journal.store import Transaction
from steward.journal.writing import EventWriter


@dataclass(slots=True)
class Row:
    """One facet as the journal knows it, and what this transaction did to it."""

    value: Any
    revision: int = 0
    event_id: str | None = None
    read_at: datetime | None = None
    is_read: bool = False
    is_new: bool = False
    is_dirty: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one comparison: the event it belongs to, and whether that event is new."""

    event_id: str | None
    is_event: bool


_WRITTEN_BY_US = (STAGE, "tag:", "alias:")
Key = tuple[int, str, str]  # model id, subject, facet


@dataclass(slots=True)
class ObservedState:
    """The facets of touched models, in memory for one transaction; :meth:`flush` writes them."""

    transaction: Transaction
    writer: EventWriter
    is_late: bool = False
    """What differs happened too long ago to be acted upon: it is journalled and wakes nobody."""
    rows: dict[Key, Row] = field(default_factory=dict)
    _ids: dict[ModelRef, int] = field(default_factory=dict)
    _vouched: set[str] = field(default_factory=set)

    def lock_models(self, refs: Iterable[ModelRef]) -> None:
        """Find or make the row of each model and lock it, in one order for every process."""
        wanted = set(refs) - self._ids.keys()
        if not wanted:
            return
        self._ids |= lock_or_make(self.transaction, wanted)
        if self.writer.journal.is_postgresql:
            # Who waited for a lock comes after those who had it, by the clock as well. (SQLite
            # gives the one lock that it has before it tells the time.)
            self.transaction.now = self.writer.journal.now(self.transaction.connection)

    def model_id(self, ref: ModelRef) -> int:
        """The id of a locked model."""
        return self._ids[ref]

    def forget(self, ref: ModelRef) -> None:
        """The name no longer means the model it meant (deleted and created again)."""
        self._ids.pop(ref, None)

    def load(self, subjects: Iterable[tuple[int, str]]) -> None:
        """Read every facet of these (model id, subject) pairs."""
        table = observed.c
        for chunk in chunks(sorted(set(subjects))):
            query = select(observed).where(
                # For a list of pairs alone SQLite scans the whole table; these find the rows.
                table.model_id.in_({model_id for model_id, _ in chunk}),
                table.subject.in_({subject for _, subject in chunk}),
                tuple_(table.model_id, table.subject).in_(chunk),
            )
            for row in self.transaction.connection.execute(query):
                self.rows.setdefault(
                    (row.model_id, row.subject, row.facet),
                    Row(row.value, row.revision, row.event_id, row.read_at, row.is_read),
                )

    def revision(self, model_id: int, subject: str, facet: str) -> int:
        """How often the facet changed; 0 when nothing is known of it."""
        row = self.rows.get((model_id, subject, facet))
        return row.revision if row else 0

    def seed(self, model_id: int, subject: str, facets: Mapping[str, Any], **known: Any) -> None:
        """Note facets that came with something else, without events of their own."""
        for facet, value in facets.items():
            row = self.rows.get((model_id, subject, facet))
            if row is None and value is not None:  # absent and never known are the same
                self.rows[model_id, subject, facet] = Row(value, 1, is_new=True, **known)

    def overwrite(self, key: Key, value: Any, event_id: str | None) -> None:
        """Take over what was told of a facet elsewhere; its event exists already."""
        row = self.rows.setdefault(key, Row(None, is_new=True))
        row.value, row.event_id = value, event_id
        row.revision += 1
        row.is_dirty, row.is_read = True, False

    def compare(
        self,
        ref: ModelRef,
        subject: str,
        facet: str,
        value: Any,
        *,
        seen: int,
        new: NewEvent | None = None,
        read_at: datetime | None = None,
        caused_by: str | None = None,
        is_own: bool = False,
    ) -> Found:
        """Compare one facet with what we knew; a difference is an event.

        ``new`` overrides the event (a webhook brings its own type and data). ``read_at`` is given
        by readers alone: it says since when the registry itself vouches for the value.
        """
        key = (self.model_id(ref), subject, facet)
        row = self.rows.get(key)
        if (row.value if row else None) == value:
            return Found(self._join(row, seen=seen, read_at=read_at), is_event=False)
        before = row.value if row else None
        intended: list[Any] = []
        intent = None
        if facet.startswith(_WRITTEN_BY_US):  # ours if we said so before, whoever reads it back
            intended = own_writes.intended(self.transaction, *key)
            intent = next((row for row in intended if row.value == value), None)
            is_own = intent is not None
        event = new or change(ref, subject, facet, before, value)
        event = replace(
            event,
            version=event.version or version_meant(facet, before, value),
            before=before,
            after=value,
            caused_by=caused_by or (intent.event_id if intent else None),
            data={**event.data, "late": True} if self.is_late else event.data,
        )
        event_id = self.writer.add(
            event,
            seen=SEEN_OWN if is_own else seen,
            model_id=key[0],
            # our own writes wake nobody
            is_routed=(facet == CHAMPION or not is_own) and not self.is_late,
        )
        own_writes.end_intents(self.transaction, intended, intent, event_id)
        self._set(key, row, value, event_id, read_at)
        return Found(event_id, is_event=True)

    def flush(self) -> None:
        """Write the rows that changed."""
        new = [self._values(key, row) for key, row in self.rows.items() if row.is_new]
        dirty = [
            {f"b_{name}": value for name, value in self._values(key, row).items()}
            for key, row in self.rows.items()
            if row.is_dirty and not row.is_new
        ]
        connection = self.transaction.connection
        if new:
            insert_many(connection, observed, new)
        if dirty:
            connection.execute(_UPDATE, dirty)
        for chunk in chunks(sorted(self._vouched)):
            connection.execute(
                update(events)
                .where(events.c.id.in_(chunk))
                .values(seen=events.c.seen.bitwise_or(SEEN_READ))
            )

    # -- inside ---------------------------------------------------------------------------------

    def _join(self, row: Row | None, *, seen: int, read_at: datetime | None) -> str | None:
        if row is None:
            return None  # absent, as we thought
        if read_at is not None:
            if row.event_id and not row.is_read and seen == SEEN_READ:
                self._vouched.add(row.event_id)
            row.is_dirty = row.is_dirty or not row.is_read
            row.is_read = True
            if row.is_dirty:
                row.read_at = max(row.read_at or read_at, read_at)
        return row.event_id

    def _set(
        self, key: Key, row: Row | None, value: Any, event_id: str, read_at: datetime | None
    ) -> None:
        if row is None:
            row = self.rows[key] = Row(None, is_new=True)
        row.value, row.event_id = value, event_id
        row.revision += 1
        row.is_dirty, row.is_read = True, read_at is not None
        if read_at is not None:
            row.read_at = read_at

    def _values(self, key: Key, row: Row) -> dict[str, Any]:
        return {
            "model_id": key[0],
            "subject": key[1],
            "facet": key[2],
            "value": row.value,
            "revision": row.revision,
            "event_id": row.event_id,
            "read_at": row.read_at,
            "is_read": row.is_read,
        }


_UPDATE = (
    update(observed)
    .where(
        observed.c.model_id == bindparam("b_model_id"),
        observed.c.subject == bindparam("b_subject"),
        observed.c.facet == bindparam("b_facet"),
    )
    .values(
        value=bindparam("b_value"),
        revision=bindparam("b_revision"),
        event_id=bindparam("b_event_id"),
        read_at=bindparam("b_read_at"),
        is_read=bindparam("b_is_read"),
    )
)
