"""Replicas and what they should serve: heartbeats in, desired state out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from steward.events import ModelRef
from steward.journal.bulk import chunks
from steward.journal.schema import desired, replicas
from steward.journal.store import Journal, insert_or_ignore, retried
from steward.ports import Desired, Replica

LIVE_SECONDS = 15.0
HIGHEST_GENERATION = 2**31 - 1  # PostgreSQL refuses more, and one replica must not spoil a batch
LOST_WITHIN = timedelta(minutes=2)
FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Told:
    """What one replica last told about itself."""

    id: str
    model: ModelRef
    url: str
    version: str | None
    generation: int
    state: str  # empty | loading | ready | stopping
    boot_id: str
    started_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Heartbeat(Told):
    """What a replica told just now, to be written soon.

    ``heard_at`` is this process's monotonic clock: liveness is judged by the database's time, from
    which this machine's may differ by more than a replica may be silent.
    """

    heard_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class KnownReplica(Told):
    """What the journal knows of a replica; ``seen_at`` is the database's time."""

    seen_at: datetime


@retried
def record_heartbeats(journal: Journal, batch: Sequence[Heartbeat]) -> None:
    """Write many heartbeats in one transaction; a generation above ours raises ours above it."""
    latest = {beat.id: beat for beat in sorted(batch, key=lambda beat: beat.heard_at)}
    beats = [latest[name] for name in sorted(latest)]  # one order: receivers cannot deadlock
    with journal.write() as transaction:
        connection = transaction.connection
        known = _rows_of(connection, list(latest))
        told = [_values(beat, known.get(beat.id), transaction.now) for beat in beats]
        new = [values for values in told if values["id"] not in known]
        again = [values for values in told if values["id"] in known]
        if new:  # another receiver may be faster: the next heartbeat tells it again
            connection.execute(insert_or_ignore(connection, replicas), new)
        if again:
            connection.execute(
                _UPDATE,
                [{f"b_{name}": value for name, value in values.items()} for values in again],
            )
        for model, highest in sorted(_highest(batch).items(), key=lambda item: str(item[0])):
            connection.execute(
                update(desired)
                .where(
                    desired.c.registry == model.registry,
                    desired.c.workspace == model.workspace,
                    desired.c.model == model.name,
                    desired.c.generation < highest,
                )
                .values(generation=min(highest + 1, HIGHEST_GENERATION))
            )
        forgotten = select(replicas.c.id).where(
            replicas.c.seen_at < transaction.now - FORGOTTEN_AFTER
        )
        connection.execute(
            # Nobody waits for a replica that beats again at this moment.
            delete(replicas).where(replicas.c.id.in_(forgotten.with_for_update(skip_locked=True)))
        )


def live_replicas(journal: Journal, model: ModelRef) -> list[Replica]:
    """Those of a model with a heartbeat in the last 15 seconds."""
    with journal.read() as connection:
        return live_at(connection, model, journal.now(connection))


def live_at(connection: Connection, model: ModelRef, now: datetime) -> list[Replica]:
    """:func:`live_replicas`, within a read that somebody began."""
    query = (
        select(replicas)
        .where(
            replicas.c.registry == model.registry,
            replicas.c.workspace == model.workspace,
            replicas.c.model == model.name,
            replicas.c.seen_at >= now - timedelta(seconds=LIVE_SECONDS),
            replicas.c.state != "stopping",
        )
        .order_by(replicas.c.id)
    )
    rows = connection.execute(query)
    return [Replica(row.id, row.url, model, row.version, row.generation) for row in rows]


def lost_replicas(journal: Journal, model: ModelRef) -> list[str]:
    """Ids of those that beat in the last 2 minutes, not in the last 15 s, and said no goodbye."""
    with journal.read() as connection:
        now = journal.now(connection)
        query = (
            select(replicas.c.id)
            .where(
                replicas.c.registry == model.registry,
                replicas.c.workspace == model.workspace,
                replicas.c.model == model.name,
                replicas.c.seen_at < now - timedelta(seconds=LIVE_SECONDS),
                replicas.c.seen_at >= now - LOST_WITHIN,
                replicas.c.state != "stopping",
            )
            .order_by(replicas.c.id)
        )
        return list(connection.execute(query).scalars())


def all_replicas(journal: Journal) -> tuple[datetime, list[KnownReplica]]:
    """The database's time, and every replica heard of in the last hour."""
    with journal.read() as connection:
        now = journal.now(connection)
        rows = connection.execute(select(replicas).order_by(replicas.c.model, replicas.c.id)).all()
    return now, [
        KnownReplica(
            id=row.id,
            model=ModelRef(row.model, row.registry, row.workspace),
            url=row.url,
            version=row.version,
            generation=row.generation,
            state=row.state,
            boot_id=row.boot_id,
            started_at=row.started_at,
            last_error=row.last_error,
            seen_at=row.seen_at,
        )
        for row in rows
    ]


def all_desired(journal: Journal) -> Mapping[ModelRef, Desired]:
    """The desired state of every model that has one."""
    with journal.read() as connection:
        return desired_by_model(connection)


def desired_by_model(connection: Connection) -> dict[ModelRef, Desired]:
    """:func:`all_desired`, within a read that somebody began."""
    found = {}
    for row in connection.execute(select(desired)):
        model = ModelRef(row.model, row.registry, row.workspace)
        found[model] = Desired(model, row.version, row.generation)
    return found


def _rows_of(connection: Connection, ids: Sequence[str]) -> dict[str, Row[Any]]:
    rows: dict[str, Row[Any]] = {}
    for chunk in chunks(ids):
        query = select(replicas).where(replicas.c.id.in_(chunk))
        rows |= {row.id: row for row in connection.execute(query)}
    return rows


def _values(beat: Heartbeat, row: Row[Any] | None, now: datetime) -> dict[str, object]:
    told = ("version", "generation", "state", "boot_id", "url", "last_error")
    has_changed = row is None or any(getattr(row, name) != getattr(beat, name) for name in told)
    seen_at = now - timedelta(seconds=time.monotonic() - beat.heard_at)
    return {
        "id": beat.id,
        "registry": beat.model.registry,
        "workspace": beat.model.workspace,
        "model": beat.model.name,
        "started_at": beat.started_at,
        "seen_at": seen_at,
        "changed_at": seen_at if row is None or has_changed else row.changed_at,
        **{name: getattr(beat, name) for name in told},
    }


def _highest(batch: Sequence[Heartbeat]) -> dict[ModelRef, int]:
    highest: dict[ModelRef, int] = {}
    for beat in batch:
        highest[beat.model] = max(highest.get(beat.model, 0), beat.generation)
    return highest


_COLUMNS = [column.name for column in replicas.c if column.name != "id"]
_UPDATE = (
    update(replicas)
    .where(replicas.c.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}") for name in _COLUMNS})
)
