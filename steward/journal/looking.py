"""What was known of a model before the registry is asked, and whether its answer is news.

A look is taken first; then the registry is asked; `readings` records the answer only where nothing
changed since the look. The poller looks at many models at once, a handler at one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, tuple_

from steward.events import ModelRef
from steward.journal.facets import DESCRIPTION, EXISTS, STAGE
from steward.journal.schema import models, observed
from steward.journal.store import Journal
from steward.ports import ModelInfo, Reading, VersionInfo

Key = tuple[str, str]  # subject, facet
Facets = dict[Key, Any]
LISTED = ("tag:", "alias:")
"""Facets that a complete reading lists; one that it does not list is absent."""
_CHUNK = 300


@dataclass(frozen=True, slots=True)
class ModelLook:
    """What was known of one model before the registry was asked; implements ``ports.Look``.

    ``model_id`` is the journal's row of the model, None when it knew none of that name;
    ``created_at`` the creation time it was read with; ``unvouched`` names facets whose event no
    reading has confirmed yet.
    """

    model: ModelRef
    read_at: datetime
    known: Mapping[Key, tuple[int, Any]] = field(default_factory=dict)
    unvouched: frozenset[Key] = frozenset()
    model_id: int | None = None
    created_at: datetime | None = None
    is_baselined: bool = False

    def reading(self, subject: str, facet: str, value: Any) -> Reading:
        """What the registry then said of one facet."""
        revision = self.known.get((subject, facet), (0, None))[0]
        return Reading(self.model, subject, facet, value, revision, self.read_at)

    def value(self, subject: str, facet: str) -> Any:
        """What was known of a facet when the look began."""
        return self.known.get((subject, facet), (0, None))[1]

    def versions(self) -> list[str]:
        """The versions that were known to exist."""
        return [
            subject
            for (subject, facet), (_, value) in self.known.items()
            if subject and facet == EXISTS and value
        ]


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
    """:func:`look` at several models, on one snapshot."""
    with journal.read() as connection:
        now = journal.now(connection)
        rows = {_ref(row): row for row in _living(connection, refs)}
        ids = [row.id for row in rows.values()]
        known, unvouched = _facets(connection, ids, subjects)
    found: list[ModelLook] = []
    for ref in refs:
        row = rows.get(ref)
        if row is None:
            found.append(ModelLook(ref, now))
            continue
        found.append(
            ModelLook(
                ref,
                now,
                known.get(row.id, {}),
                frozenset(unvouched.get(row.id, ())),
                row.id,
                row.created_at,
                row.is_baselined,
            )
        )
    return found


def has_news(reading: ModelReading) -> bool:
    """Whether recording a reading can change anything: in a quiet registry almost none does."""
    look, info = reading.look, reading.info
    if look.model_id is None or look.created_at != info.created_at or reading.gone:
        return True
    found = facets_of_model(info)
    if reading.versions is not None:
        if not look.is_baselined:
            return True
        for version in reading.versions:
            found |= facets_of_version(version) | {(version.version, EXISTS): True}
    subjects = {subject for subject, _ in found} | {""}
    listed = {key for key in look.known if key[0] in subjects and key[1].startswith(LISTED)}
    return any(
        look.value(*key) != found.get(key) or key in look.unvouched for key in listed | found.keys()
    )


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
    """Every living model of a registry and its creation time, as last observed, by name."""
    table = models.c
    query = (
        select(models)
        .where(table.registry == registry, table.deleted_at.is_(None))
        .order_by(table.workspace, table.name)
    )
    with journal.read() as connection:
        return {_ref(row): row.created_at for row in connection.execute(query)}


# -- inside ------------------------------------------------------------------------------------


def _living(connection: Connection, refs: Sequence[ModelRef]) -> Iterator[Row[Any]]:
    table = models.c
    names = sorted({(ref.registry, ref.workspace, ref.name) for ref in refs})
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        query = select(models).where(
            tuple_(table.registry, table.workspace, table.name).in_(chunk),
            table.deleted_at.is_(None),
        )
        yield from connection.execute(query)


def _facets(
    connection: Connection, ids: Sequence[int], subjects: Iterable[str] | None
) -> tuple[dict[int, dict[Key, tuple[int, Any]]], dict[int, set[Key]]]:
    table = observed.c
    known: dict[int, dict[Key, tuple[int, Any]]] = {}
    unvouched: dict[int, set[Key]] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(observed).where(table.model_id.in_(ids[start : start + _CHUNK]))
        if subjects is not None:
            query = query.where(table.subject.in_(list(subjects)))
        for row in connection.execute(query):
            key = (row.subject, row.facet)
            known.setdefault(row.model_id, {})[key] = (row.revision, row.value)
            if row.event_id and not row.is_read:
                unvouched.setdefault(row.model_id, set()).add(key)
    return known, unvouched


def _ref(row: Row[Any]) -> ModelRef:
    return ModelRef(row.name, row.registry, row.workspace)
