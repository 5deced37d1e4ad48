"""What the journal knows of models and versions now: the operators' API answers from it alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select

from steward.events import Event, EventType, ModelRef
from steward.journal import fleet, policies, queries, verdicts
from steward.journal.facets import CHAMPION, EXISTS
from steward.journal.schema import effects, events, intents, latest_named, models, observed
from steward.journal.store import Journal
from steward.policy import Policy
from steward.ports import Desired, Replica, Verdict

LONGEST_CHAIN = 500


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One registered model as last observed: its newest incarnation under this name."""

    id: int
    model: ModelRef
    created_at: datetime | None
    first_seen_at: datetime
    deleted_at: datetime | None
    facets: Mapping[str, Any] = field(default_factory=dict)

    @property
    def production(self) -> str | None:
        """The version that is Production, as a reader of the registry last found it."""
        champion = self.facets.get(CHAMPION)
        return None if champion is None else str(champion)

    def of_kind(self, kind: str) -> dict[str, Any]:
        """Its ``tag`` or ``alias`` facets by key, those that are there."""
        return of_kind(self.facets, kind)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one version stands, for those who wait for it."""

    is_known: bool
    verdict: Verdict | None
    production: str | None
    desired: Desired | None
    replicas: tuple[Replica, ...]


def of_kind(facets: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The facets ``<kind>:<key>`` by key, those that are there."""
    prefix = f"{kind}:"
    return {
        facet.removeprefix(prefix): value
        for facet, value in sorted(facets.items())
        if facet.startswith(prefix) and value is not None
    }


def list_models(
    connection: Connection, *, after: str | None, text: str | None, limit: int
) -> list[tuple[KnownModel, int]]:
    """Living models by name, after a name, each with the number of its versions."""
    query = select(models).where(models.c.deleted_at.is_(None)).order_by(models.c.name, models.c.id)
    if after is not None:
        query = query.where(models.c.name > after)
    if text:
        query = query.where(models.c.name.icontains(text, autoescape=True))
    rows = connection.execute(query.limit(limit)).all()
    ids = [row.id for row in rows]
    facets = _facets(connection, ids)
    counted = (
        select(observed.c.model_id, func.count())
        .where(observed.c.model_id.in_(ids), observed.c.facet == EXISTS)
        .where(observed.c.subject != "", observed.c.value.is_not(None))
        .group_by(observed.c.model_id)
    )
    counts = {row[0]: row[1] for row in connection.execute(counted)}
    return [(_known(row, facets.get(row.id, {})), counts.get(row.id, 0)) for row in rows]


def find_model(connection: Connection, model: ModelRef) -> KnownModel | None:
    """A model by name, the living one before a deleted one."""
    row = connection.execute(latest_named(model, models)).first()
    return _known(row, _facets(connection, [row.id]).get(row.id, {})) if row else None


def governing(connection: Connection, known: KnownModel) -> Policy:
    """The policy in force for a model."""
    return policies.active(connection).governing(known.model, known.of_kind("tag"))


def champions(journal: Journal, wanted: Iterable[ModelRef]) -> dict[ModelRef, str]:
    """What is Production of these models, as last observed; those that have one."""
    with journal.read() as connection:
        found = {model: find_model(connection, model) for model in wanted}
    return {model: known.production for model, known in found.items() if known and known.production}


def versions_of(connection: Connection, known: KnownModel) -> dict[str, dict[str, Any]]:
    """Every version that is there, newest first, with its facets."""
    table = observed.c
    query = select(table.subject, table.facet, table.value).where(
        table.model_id == known.id, table.subject != ""
    )
    found: dict[str, dict[str, Any]] = {}
    for subject, facet, value in connection.execute(query):
        found.setdefault(subject, {})[facet] = value
    there = {subject: facets for subject, facets in found.items() if facets.get(EXISTS)}
    return dict(sorted(there.items(), key=lambda item: order_of(item[0]), reverse=True))


def version_facets(connection: Connection, known: KnownModel, version: str) -> dict[str, Any]:
    """Everything observed of one version; empty when nothing ever was."""
    query = select(observed.c.facet, observed.c.value).where(
        observed.c.model_id == known.id, observed.c.subject == version
    )
    return {row.facet: row.value for row in connection.execute(query)}


def latest_event(
    connection: Connection, model: ModelRef, version: str, types: Iterable[str]
) -> Event | None:
    """The newest event of these types about a version."""
    found = queries.events_of(connection, model, version=version, types=tuple(types), limit=1)
    return found[0] if found else None


def newest_event(journal: Journal) -> int:
    """A number that grows with each event."""
    with journal.read() as connection:
        return connection.execute(select(func.max(events.c.seq))).scalar() or 0


def standings(
    journal: Journal, keys: Iterable[tuple[ModelRef, str]]
) -> dict[tuple[ModelRef, str], Standing]:
    """Where these versions stand, on one snapshot."""
    replicas: dict[ModelRef, tuple[Replica, ...]] = {}
    found = {}
    with journal.read() as connection:
        now, desired = journal.now(connection), fleet.desired_by_model(connection)
        for model, version in keys:
            known = find_model(connection, model)
            if model not in replicas:
                replicas[model] = tuple(fleet.live_at(connection, model, now))
            verdict = verdicts.standing_verdict(connection, model, version)
            has_facets = known is not None and bool(version_facets(connection, known, version))
            found[model, version] = Standing(
                is_known=has_facets or verdict is not None,
                verdict=verdict,
                production=known.production if known else None,
                desired=desired.get(model),
                replicas=replicas[model],
            )
    return found


def causal_events(connection: Connection, model: ModelRef, version: str) -> list[Event]:
    """The events of a version and of its time as Production, oldest first.

    With what those came from, up to the roots, and what they caused, down to the leaves.
    """
    mine = select(events).where(
        events.c.model == model.name,
        events.c.registry == model.registry,
        events.c.workspace == model.workspace,
        or_(events.c.version == version, events.c.type == EventType.CHAMPION_CHANGED),
    )
    rows = connection.execute(mine.order_by(events.c.seq.desc()).limit(LONGEST_CHAIN)).all()
    found = {row.id: row for row in rows if version in (row.version, row.before, row.after)}
    everything = dict(found)
    for follow in (_causes, _effects):  # up from these, and down from these: not to siblings
        edge, reached = dict(found), dict(found)
        while edge and len(reached) < LONGEST_CHAIN:
            query = follow(edge).limit(LONGEST_CHAIN)
            new = {row.id: row for row in connection.execute(query)}
            edge = {each: row for each, row in new.items() if each not in reached}
            reached |= edge
        everything |= reached
    ordered = sorted(everything.values(), key=lambda row: row.seq)
    return [queries.event_of(row) for row in ordered]


def _causes(rows: Mapping[str, Row[Any]]) -> Select[Any]:
    return select(events).where(events.c.id.in_({row.caused_by for row in rows.values()} - {None}))


def _effects(rows: Mapping[str, Row[Any]]) -> Select[Any]:
    return select(events).where(events.c.caused_by.in_(rows.keys()))


def effects_of(connection: Connection, dispatch_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What each dispatch did to the outside world: registry writes first, then the rest."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    writes = select(intents).where(intents.c.dispatch_id.in_(dispatch_ids)).order_by(intents.c.id)
    for row in connection.execute(writes):
        grouped.setdefault(row.dispatch_id, []).append(
            {
                "kind": "registry",
                "what": row.facet + (f" of version {row.subject}" if row.subject else ""),
                "value": row.value,
                "state": "done" if row.fulfilled_at or row.matched_by else "begun",
                "at": row.fulfilled_at or row.intended_at,
            }
        )
    others = (
        select(effects).where(effects.c.dispatch_id.in_(dispatch_ids)).order_by(effects.c.begun_at)
    )
    for row in connection.execute(others):
        grouped.setdefault(row.dispatch_id, []).append(
            {
                "kind": row.kind,
                "what": row.key,
                "value": row.answer,
                "state": row.state,
                "at": row.done_at or row.begun_at,
            }
        )
    return grouped


def _facets(connection: Connection, model_ids: list[int]) -> dict[int, dict[str, Any]]:
    query = select(observed.c.model_id, observed.c.facet, observed.c.value).where(
        observed.c.model_id.in_(model_ids), observed.c.subject == ""
    )
    found: dict[int, dict[str, Any]] = {}
    for model_id, facet, value in connection.execute(query):
        found.setdefault(model_id, {})[facet] = value
    return found


def _known(row: Row[Any], facets: Mapping[str, Any]) -> KnownModel:
    return KnownModel(
        id=row.id,
        model=ModelRef(row.name, row.registry, row.workspace),
        created_at=row.created_at,
        first_seen_at=row.first_seen_at,
        deleted_at=row.deleted_at,
        facets=facets,
    )


def order_of(version: str) -> tuple[int, str]:
    """What versions are sorted by: their number; what has none comes first."""
    return (int(version) if version.isascii() and version.isdigit() else 0, version)
