"""Records what a reader found in the registry: what differs from what we knew becomes events.

A reader takes a look (`looking`: revisions and the time) before it asks the registry; what changed
meanwhile is left for its next look. The poller reads whole models; handlers read single facets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select, update

from steward.events import EventType, NewEvent
from steward.failpoints import failpoint
from steward.journal.departures import delete_model
from steward.journal.facets import CHAMPION, EXISTS, NEW_VERSION_STAGE, STAGE
from steward.journal.looking import (
    LISTED,
    Facets,
    ModelLook,
    ModelReading,
    facets_of_model,
    facets_of_version,
    look,
    looks,
)
from steward.journal.model_rows import lock_known
from steward.journal.observed import ObservedState
from steward.journal.schema import SEEN_READ, installation, models
from steward.journal.store import Journal, retried
from steward.journal.writing import EventWriter
from steward.ports import Hint, Reading, VersionInfo

__all__ = ["ModelLook", "ModelReading", "look", "looks", "record", "record_facets", "record_models"]


@dataclass(frozen=True, slots=True)
class _Since:
    """What counts as history: the journal's birth, and whether this is a baseline."""

    began: datetime
    is_baseline: bool

    def is_history(self, created_at: datetime, *, is_known: bool) -> bool:
        """Whether something that we did not know was there before we kept events of it."""
        return created_at < self.began or (self.is_baseline and not is_known)


@retried
def record_models(
    journal: Journal, batch: Sequence[ModelReading], *, is_baseline: bool = False
) -> list[Hint]:
    """Compare whole models; what differs becomes events, what is older than the journal is history.

    ``is_baseline``: the registry is met again after too long. Models that are new to us are noted
    as history; differences of those that we knew are journalled as late, and wake nobody.
    """
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        state = ObservedState(transaction, writer, is_late=is_baseline)
        began = transaction.connection.execute(select(installation.c.created_at)).scalar_one()
        # All locks at once, in one order: a receiver takes several as well.
        lock_known(transaction, (reading.look.model for reading in batch))
        meant = [reading for reading in batch if _is_still_meant(state, reading.look)]
        state.lock_models(reading.look.model for reading in meant)
        for reading in meant:
            _record_model(state, reading, _Since(began, is_baseline))
        writer.flush()
        state.flush()
        failpoint("poll.before_commit")
    return transaction.hints


@retried
def record_facets(journal: Journal, found: Sequence[Reading]) -> list[Hint]:
    """Compare single facets that the poller read (late metrics)."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        state = ObservedState(transaction, writer)
        record(state, found, caused_by=None, is_own=False)
        writer.flush()
        state.flush()
    return transaction.hints


def record(
    state: ObservedState, readings: Sequence[Reading], *, caused_by: str | None, is_own: bool
) -> None:
    """Compare single facets that a handler read; unchanged revisions only."""
    state.lock_models(reading.model for reading in readings)
    state.load((state.model_id(reading.model), reading.subject) for reading in readings)
    for reading in readings:
        _compare(state, reading, caused_by=caused_by, is_own=is_own)


# -- inside ------------------------------------------------------------------------------------


def _compare(
    state: ObservedState, reading: Reading, *, caused_by: str | None = None, is_own: bool = False
) -> None:
    model_id = state.model_id(reading.model)
    if state.revision(model_id, reading.subject, reading.facet) != reading.revision:
        return  # it changed while we read: the next look will tell
    state.compare(
        reading.model,
        reading.subject,
        reading.facet,
        reading.value,
        seen=SEEN_READ,
        read_at=reading.read_at,
        caused_by=caused_by,
        is_own=is_own,
    )


def _is_still_meant(state: ObservedState, look: ModelLook) -> bool:
    """Whether the name means the model that was looked at: nobody recorded its end meanwhile."""
    table = models.c
    query = select(table.id, table.deleted_at).where(
        table.registry == look.model.registry,
        table.workspace == look.model.workspace,
        table.name == look.model.name,
    )
    rows = state.transaction.connection.execute(query).all()
    living = next((row.id for row in rows if row.deleted_at is None), None)
    if look.model_id is not None or living is not None:
        return look.model_id in (living, None)
    return not any(row.deleted_at >= look.read_at for row in rows)


def _record_model(state: ObservedState, reading: ModelReading, since: _Since) -> None:
    reading, model_id, is_known = _incarnation(state, reading)
    look, info = reading.look, reading.info
    subjects = {subject for subject, _ in look.known} | {
        version.version for version in reading.versions or ()
    }
    state.load((model_id, subject) for subject in subjects | {""})
    facets = facets_of_model(info)
    if not is_known and since.is_history(info.created_at, is_known=False):
        values = {facet: value for (_, facet), value in facets.items()}
        values |= {EXISTS: True} | ({CHAMPION: reading.champion} if reading.champion else {})
        state.seed(model_id, "", values, read_at=look.read_at, is_read=True)
    elif not is_known:
        _record_created_model(state, reading, facets)
    _compare_facets(state, look, facets, "")
    for version in reading.versions or ():
        _record_version(state, look, version, since, is_known=is_known)
    for number in sorted(reading.gone):
        _compare(state, look.reading(number, EXISTS, None))
    if not is_known and reading.versions is not None:
        state.transaction.connection.execute(
            update(models).where(models.c.id == model_id).values(is_baselined=True)
        )


def _incarnation(state: ObservedState, reading: ModelReading) -> tuple[ModelReading, int, bool]:
    """The row of the model that goes by this name now, and whether it was read before."""
    ref, created_at = reading.look.model, reading.info.created_at
    state.lock_models([ref])
    connection = state.transaction.connection
    row = connection.execute(select(models).where(models.c.id == state.model_id(ref))).one()
    if row.created_at is not None and row.created_at != created_at:
        # Deleted and created again between two looks: nothing is known of the new one.
        delete_model(state.transaction, state.writer, ref, row)
        state.forget(ref)
        state.lock_models([ref])
        reading = replace(reading, look=ModelLook(ref, reading.look.read_at), gone=frozenset())
        row = connection.execute(select(models).where(models.c.id == state.model_id(ref))).one()
    if row.created_at is None:
        connection.execute(
            update(models).where(models.c.id == row.id).values(created_at=created_at)
        )
    return reading, row.id, row.is_baselined


def _record_created_model(state: ObservedState, reading: ModelReading, facets: Facets) -> None:
    """As the webhook would tell it: tags and description came with the model, aliases later."""
    ref, info = reading.look.model, reading.info
    new = NewEvent(
        EventType.MODEL_CREATED,
        ref,
        data={"name": ref.name, "tags": dict(info.tags), "description": info.description},
        source=f"mlflow/{ref.registry}",
        occurred_at=info.created_at,
    )
    found = state.compare(
        ref, "", EXISTS, True, seen=SEEN_READ, new=new, read_at=reading.look.read_at
    )
    if found.is_event:
        came = {facet: v for (_, facet), v in facets.items() if not facet.startswith("alias:")}
        state.seed(state.model_id(ref), "", came, event_id=found.event_id, is_read=True)


def _record_version(
    state: ObservedState, look: ModelLook, version: VersionInfo, since: _Since, *, is_known: bool
) -> None:
    model_id, number = state.model_id(look.model), version.version
    facets = facets_of_version(version)
    if (model_id, number, EXISTS) in state.rows:
        _compare(state, look.reading(number, EXISTS, True))  # the reading vouches for it
    elif since.is_history(version.created_at, is_known=is_known):
        values = {facet: value for (_, facet), value in facets.items()} | {EXISTS: True}
        state.seed(model_id, number, values, read_at=look.read_at, is_read=True)
        return
    else:
        new = _created_version(look, version)
        found = state.compare(
            look.model, number, EXISTS, True, seen=SEEN_READ, new=new, read_at=look.read_at
        )
        came = {facet: value for (_, facet), value in facets.items() if facet != STAGE}
        state.seed(model_id, number, came, event_id=found.event_id, is_read=True)
        state.seed(model_id, number, {STAGE: NEW_VERSION_STAGE}, event_id=found.event_id)
        known = {**look.known, (number, STAGE): (1, NEW_VERSION_STAGE)}
        look = replace(look, known=known)  # moved to another stage since, if it is in one
    _compare_facets(state, look, facets, number)


def _created_version(look: ModelLook, version: VersionInfo) -> NewEvent:
    return NewEvent(
        EventType.VERSION_CREATED,
        look.model,
        version.version,
        data={
            "name": look.model.name,
            "version": version.version,
            "source": version.source,
            "run_id": version.run_id,
            "tags": dict(version.tags),
            "description": version.description,
        },
        source=f"mlflow/{look.model.registry}",
        occurred_at=version.created_at,
    )


def _compare_facets(state: ObservedState, look: ModelLook, found: Facets, subject: str) -> None:
    """Compare what a complete reading of a subject found, and what it no longer found."""
    known = {key for key in look.known if key[0] == subject and key[1].startswith(LISTED)}
    for key in sorted(known | found.keys()):
        _compare(state, look.reading(*key, found.get(key)))
