"""What must be true after every fault, read from the journal, the registry and the witnesses.

Every acknowledged delivery belongs to one event, every event is in one end state, every effect was
applied once (a message at most twice, and then says so), the order in a lane was kept, nobody holds
a lease, and the registry, the journal and the replicas agree.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Engine, select, text

from steward.journal.schema import attempts, deliveries, dispatches, events, observed
from steward.journal.schema import models as models_table
from steward.journal.store import open_engine
from tests.acceptance.faults.oracle import FakeReplica
from tests.acceptance.faults.site import Site
from tests.models import client_of
from tests.servers import eventually

ENDS = {"succeeded", "skipped", "dead"}
DRAIN_SECONDS = 60.0
POSSIBLY_TWICE = "possibly sent before"


def assert_sound(
    site: Site,
    *models: str,
    acknowledged: Mapping[str, str | None] | None = None,
    fleet: Iterable[FakeReplica] = (),
    dead_allowed: int = 0,
    within: float = DRAIN_SECONDS,
    moved_by_hand: Collection[str] = (),
) -> None:
    """Wait until these models' work is done; then hold everything against the promises.

    ``acknowledged``: delivery id -> event id, of deliveries that were answered 202.
    ``moved_by_hand``: models whose Production people moved too, so that what Steward wrote and told
    may have had to be written and told again.
    """
    await_drained(site, *models, within=within)
    engine = _journal_of(site)
    try:
        _assert_consistent(engine)
        _assert_ended(engine, models, dead_allowed)
        _assert_one_event_a_change(engine, models)
        _assert_acknowledged(engine, acknowledged or {})
        _assert_lanes_kept(engine, models)
        for model in models:
            _assert_registry_agrees(site, engine, model)
            if model not in moved_by_hand:
                _assert_written_once(site, model)
                _assert_told_once(site, model)
        for replica in fleet:
            _assert_obeyed(replica)
    finally:
        engine.dispose()


def await_drained(site: Site, *models: str, within: float = DRAIN_SECONDS) -> None:
    """Wait until nothing of these models is open; say what is, if it does not end."""
    engine = _journal_of(site)
    try:
        eventually(lambda: not _open(engine, models), within, every_seconds=0.25)
    except AssertionError as error:
        raise AssertionError(f"not drained within {within} s: {_open(engine, models)}") from error
    finally:
        engine.dispose()


def _journal_of(site: Site) -> Engine:
    return open_engine(site.database_url or f"sqlite:///{site.directory / 'data' / 'steward.db'}")


def rows(engine: Engine, query: Any) -> list[Any]:
    """All rows of a query, on a snapshot of their own."""
    with engine.connect().execution_options(steward_reads=True) as connection:
        return list(connection.execute(query))


def _of(models: Iterable[str]) -> Any:
    return (
        select(dispatches, events.c.type, events.c.version, events.c.model)
        .join(events, events.c.id == dispatches.c.event_id)
        .where(events.c.model.in_(list(models)))
    )


def _open(engine: Engine, models: Iterable[str]) -> list[Any]:
    found = rows(engine, _of(models).where(dispatches.c.state.not_in(ENDS)))
    return [(row.model, row.version, row.handler, row.state, row.note) for row in found]


def _assert_consistent(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        assert rows(engine, text("PRAGMA quick_check")) == [("ok",)]
        assert rows(engine, text("PRAGMA foreign_key_check")) == []
    known = select(events.c.id)
    orphans = select(deliveries.c.delivery_id).where(deliveries.c.event_id.not_in(known))
    assert rows(engine, orphans) == [], "a delivery of no event"
    uncaused = select(events.c.id).where(events.c.caused_by.not_in(known))
    assert rows(engine, uncaused) == [], "an event that nothing caused"


def _assert_ended(engine: Engine, models: Iterable[str], dead_allowed: int) -> None:
    found = rows(engine, _of(models))
    states = Counter(row.state for row in found)
    assert set(states) <= ENDS, states
    dead = [(row.handler, row.note) for row in found if row.state == "dead"]
    assert len(dead) <= dead_allowed, dead
    assert all(row.owner is None and row.lease_until is None for row in found), "a lease is held"
    done = rows(engine, select(attempts.c.dispatch_id, attempts.c.run, attempts.c.outcome))
    ended = Counter((row.dispatch_id, row.run) for row in done if row.outcome in ENDS)
    mine = {row.id for row in found}
    twice = [key for key, count in ended.items() if count > 1 and key[0] in mine]
    assert twice == [], "an end was recorded twice in one run"


def _assert_one_event_a_change(engine: Engine, models: Iterable[str]) -> None:
    """Things that happen once by definition have one event each."""
    once = ("model_version.created", "model_version.validated", "model_version.promoted")
    table = events.c
    found = rows(
        engine,
        select(table.type, table.model, table.version).where(
            table.model.in_(list(models)), table.type.in_(once)
        ),
    )
    again = {tuple(key): n for key, n in Counter(found).items() if n > 1}
    assert again == {}, f"journalled twice: {again}"


def _assert_acknowledged(engine: Engine, acknowledged: Mapping[str, str | None]) -> None:
    kept = defaultdict(list)
    for row in rows(engine, select(deliveries.c.delivery_id, deliveries.c.event_id)):
        kept[row.delivery_id].append(row.event_id)
    for delivery_id, event_id in acknowledged.items():
        assert kept[delivery_id] == [event_id], f"delivery {delivery_id} was acknowledged"


def _assert_lanes_kept(engine: Engine, models: Iterable[str]) -> None:
    """Nobody began in a lane before its predecessor had ended.

    A lease that expired ended when the sweep took it back, whenever its worker thought so. Who is
    before whom is the order in which they were written down, each before its lane was free again:
    on SQLite two that follow each other may have begun in the same millisecond.
    """
    tried = (
        select(dispatches.c.lane, attempts.c.started_at, attempts.c.ended_at, attempts.c.outcome)
        .join(dispatches, dispatches.c.id == attempts.c.dispatch_id)
        .join(events, events.c.id == dispatches.c.event_id)
        .where(
            dispatches.c.lane.is_not(None),
            events.c.model.in_(list(models)),
            attempts.c.started_at.is_not(None),
            attempts.c.outcome != "replayed",
            attempts.c.repeats == 1,
        )
        .order_by(dispatches.c.lane, attempts.c.id)
    )
    by_lane = defaultdict(list)
    for row in rows(engine, tried):
        by_lane[row.lane].append(row)
    for lane, runs in by_lane.items():
        for before, after in itertools.pairwise(runs):
            assert before.ended_at <= after.started_at, f"two at once in {lane}: {before}, {after}"


def _assert_registry_agrees(site: Site, engine: Engine, model: str) -> None:
    """Never two in Production; alias, stage and what the journal observed name the same version."""
    client = client_of(site.mlflow.url)
    found = client.search_model_versions(f"name='{model}'")
    in_production = [v.version for v in found if v.current_stage == "Production"]
    assert len(in_production) <= 1, f"{in_production} are in Production of {model}"
    champion = next((str(version) for version in in_production), None)
    known = rows(
        engine,
        select(observed.c.value)
        .join(models_table, models_table.c.id == observed.c.model_id)
        .where(
            models_table.c.name == model,
            models_table.c.deleted_at.is_(None),
            observed.c.facet == "champion",
        ),
    )
    if champion is not None:
        aliases = client.get_registered_model(model).aliases
        assert str(aliases.get("champion")) == champion
        assert [row.value for row in known] == [champion]


def _assert_written_once(site: Site, model: str) -> None:
    """The champion's alias and stage: the same version is never written twice in a row."""
    for kind, what in (("alias", "champion"), ("stage", "Production")):
        written = site.witness.of(model, kind, what)
        again = [v for v, w in itertools.pairwise(written) if v == w]
        assert again == [], f"{kind} {what} of {model} was written twice: {written}"


def _assert_told_once(site: Site, model: str) -> None:
    """Each message once; at most twice, and then the second says so."""
    texts = site.slack.bodies(model)
    first = Counter(text for text in texts if POSSIBLY_TWICE not in text)
    again = {text[:120]: n for text, n in first.items() if n > 1}
    assert again == {}, "a message was sent twice and does not say so"


def _assert_obeyed(replica: FakeReplica) -> None:
    """Generations only grow, and no version is taken up twice in a row."""
    generations = [generation for _, generation in replica.served]
    assert generations == sorted(set(generations)), replica.served
