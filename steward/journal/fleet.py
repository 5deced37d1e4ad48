"""Replicas and what they should serve: heartbeats in, desired state out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from steward.events import ModelRef
from steward.journal.schema import desired, replicas
from steward.journal.store import Journal, insert_or_ignore
from steward.ports import Desired, Replica

LIVE_SECONDS = 15.0
FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What one replica last told about itself, and when we heard it."""

    id: str
    model: ModelRef
    url: str
    version: str | None
    generation: int
    state: str  # empty | loading | ready | stopping
    boot_id: str
    started_at: datetime | None
    last_error: str | None
    seen_at: datetime


def record_heartbeats(journal: Journal, batch: Sequence[Heartbeat]) -> None:
    """Write many heartbeats in one transaction; a generation above ours raises ours above it."""
    with journal.write() as transaction:
        connection = transaction.connection
        latest = {beat.id: beat for beat in sorted(batch, key=lambda beat: beat.seen_at)}
        ids = sorted(latest)
        rows = connection.execute(select(replicas).where(replicas.c.id.in_(ids)))
        known = {row.id: row for row in rows}
        for beat in (latest[name] for name in ids):  # one order, so that receivers cannot deadlock
            values = _values(beat)
            row = known.get(beat.id)
            told = ("version", "generation", "state", "boot_id", "url", "last_error")
            has_changed = row is None or any(getattr(row, name) != values[name] for name in told)
            values["changed_at"] = beat.seen_at if row is None or has_changed else row.changed_at
            if row is None:  # another receiver may be faster: the next heartbeat tells it again
                connection.execute(insert_or_ignore(connection, replicas).values(values))
            else:
                connection.execute(update(replicas).where(replicas.c.id == beat.id).values(values))
        for model, highest in _highest(batch).items():
            connection.execute(
                update(desired)
                .where(
                    desired.c.registry == model.registry,
                    desired.c.workspace == model.workspace,
                    desired.c.model == model.name,
                    desired.c.generation < highest,
                )
                .values(generation=highest + 1)
            )
        connection.execute(
            delete(replicas).where(replicas.c.seen_at < transaction.now - FORGOTTEN_AFTER)
        )


def live_replicas(journal: Journal, model: ModelRef) -> list[Replica]:
    """Those of a model with a heartbeat in the last 15 seconds."""
    with journal.read() as connection:
        since = journal.now(connection) - timedelta(seconds=LIVE_SECONDS)
        query = (
            select(replicas)
            .where(
                replicas.c.registry == model.registry,
                replicas.c.workspace == model.workspace,
                replicas.c.model == model.name,
                replicas.c.seen_at >= since,
                replicas.c.state != "stopping",
            )
            .order_by(replicas.c.id)
        )
        rows = connection.execute(query).all()
    return [Replica(row.id, row.url, model, row.version, row.generation) for row in rows]


def all_replicas(journal: Journal) -> tuple[datetime, list[Heartbeat]]:
    """The database's time, and every replica heard of in the last hour."""
    with journal.read() as connection:
        now = journal.now(connection)
        rows = connection.execute(select(replicas).order_by(replicas.c.model, replicas.c.id)).all()
    return now, [
        Heartbeat(
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
        rows = connection.execute(select(desired)).all()
    found = {}
    for row in rows:
        model = ModelRef(row.model, row.registry, row.workspace)
        found[model] = Desired(model, row.version, row.generation)
    return found


def _values(beat: Heartbeat) -> dict[str, object]:
    return {
        "id": beat.id,
        "registry": beat.model.registry,
        "workspace": beat.model.workspace,
        "model": beat.model.name,
        "url": beat.url,
        "version": beat.version,
        "generation": beat.generation,
        "state": beat.state,
        "boot_id": beat.boot_id,
        "started_at": beat.started_at,
        "last_error": beat.last_error,
        "seen_at": beat.seen_at,
    }


def _highest(batch: Sequence[Heartbeat]) -> dict[ModelRef, int]:
    highest: dict[ModelRef, int] = {}
    for beat in batch:
        highest[beat.model] = max(highest.get(beat.model, 0), beat.generation)
    return highest
