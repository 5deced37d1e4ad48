"""Fills a journal on PostgreSQL with very many events, as years of work would leave them."""

import time
from collections.abc import Iterator

import psycopg

MODELS = 2000
TYPES = (
    *("model_version.created", "model_version.validated", "model_version.rejected"),
    *("promotion.held", "model_version.promoted", "registered_model.champion_changed"),
    *("rollout.started", "rollout.finished", "rollout.failed", "model_version_tag.set"),
    *("model_version_tag.deleted", "model_version_alias.created", "model_version_alias.deleted"),
    *("model_version.transitioned_stage", "model_version.updated", "approval.requested"),
    *("approval.approved", "model_version.rolled_back", "registered_model.created"),
    "dispatch.died",
)
# The first type is a quarter of all, then ever fewer. A model has 2,500 events on average, the
# first 50 models a fifth of all; events came evenly over 700 days, the newest now.
_EVENTS = """
INSERT INTO events (seq, id, type, source, model_id, registry, workspace, model, version, before,
  after, data, occurred_at, recorded_at, caused_by, seen)
SELECT n, {event_id},
  (ARRAY[{types}])[1 + (20 * power(((n * 7919) % 10007) / 10007.0, 2))::int % 20],
  CASE WHEN n % 3 = 0 THEN 'steward' WHEN n % 5000 = 1 THEN 'operator/alice'
    ELSE 'mlflow/default' END,
  m, 'default', '', 'model-' || m, (1 + n / 40000)::text, NULL,
  to_json('value ' || n % 97), json_build_object('name', 'model-' || m, 'run_id', md5(n::text),
    'source', 'models:/m-' || md5((n / 3)::text), 'tags', json_build_object('team', n % 31)),
  at, at, CASE WHEN n % 3 = 0 AND n > 1 THEN {cause_id} END,
  CASE WHEN n % 3 = 0 THEN 0 WHEN n % 400 = 1 THEN 2 WHEN n % 11 = 2 THEN 1 ELSE 3 END
FROM (SELECT n, 1 + CASE WHEN n % 5 = 0 THEN (n / 5) % 50 ELSE (n * 31) % {models} END AS m,
    {now} - ((({events} - n) * (700 * 86400000000.0 / {events}))::bigint) AS at
  FROM generate_series({first}::bigint, {last}) AS n) AS numbered
"""
_DELIVERIES = """
INSERT INTO deliveries (seq, sender, delivery_id, event_id, outcome, sent_at, received_at, body)
SELECT n, 'mlflow', md5('d' || n), {event_id}, 'event', at, at,
  CASE WHEN n > {events} * 0.87 THEN convert_to(repeat(md5(n::text), 12), 'UTF8') END
FROM (SELECT n, {now} - ((({events} - n) * (700 * 86400000000.0 / {events}))::bigint) AS at
  FROM generate_series({first}::bigint, {last}) AS n WHERE n % 3 <> 0) AS numbered
"""
# Of the newest 1,000 events every fourth is open, every tenth of these waits; of all, one in 1,500
# has a dead dispatch.
_DISPATCHES = """
INSERT INTO dispatches (id, event_id, handler, target, queue, lane, state, note, due_at, wait_until,
  token, claimed_at, hint_at, attempts, failures, created_at, finished_at)
SELECT {dispatch_id}, {event_id}, handler, '', 'default',
  CASE handler WHEN 'promote' THEN 'production/default/model-' || n % {models} END, state, 'done',
  at, CASE WHEN state = 'pending' AND n % 40 = 0 THEN {now} + 3600000000 END, 1, at,
  CASE WHEN state = 'pending' THEN {now} + 3600000000 ELSE at END, 1, 0, at,
  CASE WHEN state = 'pending' THEN NULL ELSE at + 50000 END
FROM (SELECT n, CASE n % 4 WHEN 0 THEN 'validate' WHEN 1 THEN 'promote' WHEN 2 THEN 'annotate'
      ELSE 'notify' END AS handler,
    CASE WHEN n > {events} - 1000 AND n % 4 = 0 THEN 'pending' WHEN n % 1500 = 7 THEN 'dead'
      WHEN n % 17 = 0 THEN 'skipped' ELSE 'succeeded' END AS state,
    {now} - ((({events} - n) * (700 * 86400000000.0 / {events}))::bigint) AS at
  FROM generate_series({first}::bigint, {last}) AS n) AS numbered
"""
# Attempts of the last 30 days, and of dead dispatches, whose age is no reason to forget them.
_ATTEMPTS = """
INSERT INTO attempts (dispatch_id, run, number, owner, started_at, ended_at, outcome, detail)
SELECT id, 1, 1, 'worker@host:1', claimed_at, finished_at, state, note FROM dispatches
WHERE state = 'dead' OR (finished_at > {now} - 30 * 86400000000)
"""
_CHUNK = 250_000
_INDEXES = """
SELECT indexdef, indexname FROM pg_indexes JOIN pg_class ON relname = indexname
JOIN pg_index ON indexrelid = pg_class.oid
WHERE tablename IN ('events', 'deliveries', 'dispatches', 'attempts') AND NOT indisunique
"""


def fill(url: str, events: int) -> Iterator[tuple[str, float]]:
    """Fill an upgraded, empty journal; what was done and the seconds it took, step by step."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET session_replication_role = replica")  # no foreign keys: all is ours
        indexes = connection.execute(_INDEXES).fetchall()
        for _, name in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        began = time.monotonic()
        connection.execute(_models().encode())
        for what, statement in (
            (f"{events:,} events", _EVENTS),
            (f"{events * 2 // 3:,} deliveries", _DELIVERIES),
            (f"{events:,} dispatches", _DISPATCHES),
        ):
            for first in range(1, events + 1, _CHUNK):
                last = min(first + _CHUNK - 1, events)
                connection.execute(_with(statement, events, first, last).encode())
            yield what, time.monotonic() - began
        connection.execute(_with(_ATTEMPTS, events, 1, events).encode())
        yield "attempts", time.monotonic() - began
        for definition, _ in indexes:
            connection.execute(definition.encode())
        yield "indexes", time.monotonic() - began
        for table, column in (("events", "seq"), ("deliveries", "seq"), ("models", "id")):
            setting = f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), {events + 1})"
            connection.execute(setting.encode())
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
        yield "vacuum and checkpoint", time.monotonic() - began


def _models() -> str:
    return (
        "INSERT INTO models (id, registry, workspace, name, first_seen_at, is_baselined)"  # noqa: S608  # our numbers
        f" SELECT n, 'default', '', 'model-' || n, {_now()}, true"
        f" FROM generate_series(1, {MODELS}) AS n"
    )


def _with(statement: str, events: int, first: int, last: int) -> str:
    return statement.format(
        events=events,
        first=first,
        last=last,
        models=MODELS,
        now=_now(),
        types=", ".join(f"'{each}'" for each in TYPES),
        event_id=_id("n"),
        cause_id=_id("n - 1"),
        dispatch_id=_id("n", "b"),
    )


_NOW: list[int] = []


def _now() -> int:
    """Microseconds since the epoch, the same for all rows."""
    if not _NOW:
        _NOW.append(time.time_ns() // 1000)
    return _NOW[0]


def _id(number: str, kind: str = "a") -> str:
    """A UUID in SQL that sorts by its number, as ours do by their time."""
    return (
        f"lpad(to_hex(({number}) >> 16), 8, '0') || '-' || lpad(to_hex(({number}) & 65535), 4, '0')"
        f" || '-7000-{kind}000-' || left(md5(({number})::text), 12)"
    )
