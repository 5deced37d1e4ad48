"""Compares what a reader found in the registry with what we knew.

A reader takes a look (revisions and the time) before it asks the registry; what changed meanwhile
is left for its next look. The poller reads whole models; handlers read single facets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from steward.events import EventType, ModelRef, NewEvent
from steward.journal.observed import (
    DESCRIPTION,
    EXISTS,
    STAGE,
    ObservedState,
    event_type,
)
from steward.journal.schema import SEEN_READ, installation, models, observed
from steward.journal.store import Journal
from steward.journal.writing import EventWriter
from steward.ports import Hint, ModelInfo, Reading, VersionInfo

Facets = dict[tuple[str, str], Any]


@dataclass(frozen=True, slots=True)
class ModelLook:
    """What was known of one model before the registry was asked; implements ``ports.Look``."""

    model: ModelRef
    read_at: datetime
    known: Mapping[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)

    def reading(self, subject: str, facet: str, value: Any) -> Reading:
        """What the registry then said of one facet."""
        revision = self.known.get((subject, facet), (0, None))[0]
        return Reading(self.model, subject, facet, value, revision, self.read_at)

    def value(self, subject: str, facet: str) -> Any:
        """What was known of a facet when the look began."""
        return self.known.get((subject, facet), (0, None))[1]


@dataclass(frozen=True, slots=True)
class ModelReading:
    """One whole model as the registry told it.

    ``versions`` is every version of it, or None where only the model itself was read. ``gone``
    names versions that the registry answered 404 for. ``champion`` is who is Production now, for
    the baseline (later it is read by ``confirm``).
    """

    look: ModelLook
    info: ModelInfo
    versions: Sequence[VersionInfo] | None = None
    gone: frozenset[str] = frozenset()
    champion: str | None = None


def look(journal: Journal, model: ModelRef, *, subjects: Sequence[str] | None = None) -> ModelLook:
    """Note the revisions of a model's facets; of these subjects only, where given."""
    return looks(journal, [model], subjects=subjects)[0]


def looks(
    journal: Journal, refs: Sequence[ModelRef], *, subjects: Sequence[str] | None = None
) -> list[ModelLook]:
    """:func:`look` at several models."""
    found: list[ModelLook] = []
    with journal.read() as connection:
        now = journal.now(connection)
        for ref in refs:
            query = (
                select(observed.c.subject, observed.c.facet, observed.c.revision, observed.c.value)
                .join(models, models.c.id == observed.c.model_id)
                .where(
                    models.c.registry == ref.registry,
                    models.c.workspace == ref.workspace,
                    models.c.name == ref.name,
                    models.c.deleted_at.is_(None),
                )
            )
            if subjects is not None:
                query = query.where(observed.c.subject.in_(subjects))
            rows = connection.execute(query)
            known = {(row.subject, row.facet): (row.revision, row.value) for row in rows}
            found.append(ModelLook(ref, now, known))
    return found


def record_models(
    journal: Journal, batch: Sequence[ModelReading], *, is_baseline: bool = False
) -> list[Hint]:
    """Compare whole models; what differs becomes events, what is new of old is history.

    ``is_baseline``: the registry is being met for the first time (or after too long): everything
    that existed before the journal is noted and nothing is acted upon.
    """
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        state = ObservedState(transaction, writer)
        began = transaction.connection.execute(select(installation.c.created_at)).scalar_one()
        for reading in batch:
            _record_model(state, reading, began=began, is_baseline=is_baseline)
        writer.flush()
        state.flush()
    return transaction.hints


def record_gone(journal: Journal, look: ModelLook) -> list[Hint]:
    """The registry answered 404 for a model: it was deleted (with all that hung on it)."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        state = ObservedState(transaction, writer)
        state.lock_models([look.model])
        _delete_model(state, look.model)
        writer.flush()
        state.flush()
    return transaction.hints


def record_renamed(journal: Journal, before: ModelRef, after: ModelRef) -> list[Hint]:
    """A model goes by another name; all that is known of it goes with it."""
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        state = ObservedState(transaction, writer)
        state.lock_models([before])
        model_id = state.model_id(before)
        transaction.connection.execute(
            update(models).where(models.c.id == model_id).values(name=after.name)
        )
        writer.add(
            NewEvent(
                EventType.MODEL_RENAMED,
                after,
                before=before.name,
                after=after.name,
                source=f"mlflow/{after.registry}",
            ),
            seen=SEEN_READ,
            model_id=model_id,
        )
        writer.flush()
    return transaction.hints


def record(
    state: ObservedState, readings: Sequence[Reading], *, caused_by: str, is_own: bool
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
    row = state.rows.get((model_id, reading.subject, reading.facet))
    new = NewEvent(
        event_type(reading.subject, reading.facet, row.value if row else None, reading.value),
        reading.model,
        reading.subject or None,
        data={"key": reading.facet.partition(":")[2]} if ":" in reading.facet else {},
        source=f"mlflow/{reading.model.registry}",
        caused_by=caused_by,
    )
    state.compare(
        reading.model,
        reading.subject,
        reading.facet,
        reading.value,
        seen=SEEN_READ,
        new=new,
        read_at=reading.read_at,
        is_own=is_own,
    )


def _record_model(
    state: ObservedState, reading: ModelReading, *, began: datetime, is_baseline: bool
) -> None:
    ref, look = reading.look.model, reading.look
    model_id, is_known = _incarnation(state, reading)
    known = {subject for subject, _ in look.known} | {
        version.version for version in reading.versions or ()
    }
    state.load((model_id, subject) for subject in known | {""})
    is_history = not is_known and (is_baseline or reading.info.created_at < began)
    facets = facets_of_model(reading.info)
    if is_history:
        if reading.champion is not None:
            facets["", "champion"] = reading.champion
        state.seed(
            model_id,
            "",
            {facet: value for (_, facet), value in facets.items()},
            read_at=look.read_at,
            is_read=True,
        )
    elif not is_known:
        state.compare(ref, "", EXISTS, True, seen=SEEN_READ, read_at=look.read_at)
    _compare_facets(state, look, facets, "")
    for version in reading.versions or ():
        _record_version(state, look, version, began=began, is_baseline=is_baseline)
    for version in sorted(reading.gone):
        _delete_version(state, look, version)
    if not is_known and reading.versions is not None:
        state.transaction.connection.execute(
            update(models).where(models.c.id == model_id).values(is_baselined=True)
        )


def _incarnation(state: ObservedState, reading: ModelReading) -> tuple[int, bool]:
    """The row of the model that goes by this name now, and whether it was read before."""
    ref, created_at = reading.look.model, reading.info.created_at
    state.lock_models([ref])
    connection = state.transaction.connection
    query = select(models).where(models.c.id == state.model_id(ref))
    row = connection.execute(query).one()
    if row.created_at is not None and row.created_at != created_at:
        _delete_model(state, ref)  # deleted and created again between two looks
        state.lock_models([ref])
        row = connection.execute(select(models).where(models.c.id == state.model_id(ref))).one()
    if row.created_at is None:
        connection.execute(
            update(models).where(models.c.id == row.id).values(created_at=created_at)
        )
    return row.id, row.is_baselined


def _record_version(
    state: ObservedState,
    look: ModelLook,
    version: VersionInfo,
    *,
    began: datetime,
    is_baseline: bool,
) -> None:
    model_id = state.model_id(look.model)
    facets = facets_of_version(version)
    row = state.rows.get((model_id, version.version, EXISTS))
    is_history = is_baseline or version.created_at < began
    if row is None and is_history:
        values = {facet: value for (_, facet), value in facets.items()} | {EXISTS: True}
        state.seed(model_id, version.version, values, read_at=look.read_at, is_read=True)
        return
    if row is None:
        new = NewEvent(
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
        found = state.compare(
            look.model, version.version, EXISTS, True, seen=SEEN_READ, new=new, read_at=look.read_at
        )
        created = {facet: value for (_, facet), value in facets.items() if facet != STAGE}
        state.seed(model_id, version.version, created, event_id=found.event_id, is_read=True)
        state.seed(model_id, version.version, {STAGE: "None"}, event_id=found.event_id)
        look = replace(look, known={**look.known, (version.version, STAGE): (1, "None")})
    else:
        _compare(state, look.reading(version.version, EXISTS, True))  # the reading vouches for it
    _compare_facets(state, look, facets, version.version)


def _compare_facets(state: ObservedState, look: ModelLook, found: Facets, subject: str) -> None:
    """Compare what a complete reading of a subject found, and what it no longer found."""
    listed = ("tag:", "alias:")
    known = {key for key in look.known if key[0] == subject and key[1].startswith(listed)}
    for subject_, facet in sorted(known | found.keys()):
        if facet != EXISTS:
            _compare(state, look.reading(subject_, facet, found.get((subject_, facet))))


def _delete_version(state: ObservedState, look: ModelLook, version: str) -> None:
    _compare(state, look.reading(version, EXISTS, None))


def _delete_model(state: ObservedState, ref: ModelRef) -> None:
    model_id = state.model_id(ref)
    state.writer.add(
        NewEvent(EventType.MODEL_DELETED, ref, before=True, source=f"mlflow/{ref.registry}"),
        seen=SEEN_READ,
        model_id=model_id,
    )
    state.transaction.connection.execute(
        update(models).where(models.c.id == model_id).values(deleted_at=state.transaction.now)
    )
    state.forget(ref)


def facets_of_model(info: ModelInfo) -> Facets:
    """Everything a reading of a model vouches for."""
    return {
        ("", DESCRIPTION): info.description or None,
        **{("", f"tag:{key}"): value for key, value in info.tags.items()},
        **{("", f"alias:{alias}"): version for alias, version in info.aliases.items()},
    }


def facets_of_version(version: VersionInfo) -> Facets:
    """Everything a reading of a version vouches for."""
    subject = version.version
    return {
        (subject, STAGE): version.stage,
        (subject, DESCRIPTION): version.description or None,
        **{(subject, f"tag:{key}"): value for key, value in version.tags.items()},
    }


def known_models(journal: Journal, registry: str) -> dict[ModelRef, datetime | None]:
    """Every living model of a registry and its creation time, as last observed."""
    query = select(models).where(models.c.registry == registry, models.c.deleted_at.is_(None))
    with journal.read() as connection:
        rows = connection.execute(query).all()
    return {ModelRef(row.name, row.registry, row.workspace): row.created_at for row in rows}
