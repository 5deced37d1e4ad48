"""The journal's tables. Every time is microseconds since the epoch, UTC, aware in Python.

A registered model is one row of ``models`` for each time it was created (a name can be deleted and
created again); everything known of it hangs on that row's id, which survives a rename, and its row
is the lock under which its observed state changes.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.types import TypeDecorator

from steward.events import ModelRef

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as microseconds since the epoch: it sorts and compares."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else from_microseconds(value)


def to_microseconds(value: datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly."""
    delta = value - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_microseconds(value: int) -> datetime:
    """The inverse of :func:`to_microseconds`."""
    seconds, microseconds = divmod(value, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite numbers rows by itself only where the key is exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")


def _json() -> JSON:
    return JSON(none_as_null=True)


def _name(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    return Column(name, String(512), nullable=nullable, server_default=default)


installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    _name("installation_id"),
    Column("created_at", UtcTime, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("id", BigId, primary_key=True),
    _name("registry"),
    _name("workspace"),
    _name("name"),
    Column("created_at", UtcTime),  # the registry's creation time; unknown until the first read
    Column("first_seen_at", UtcTime, nullable=False),
    Column("deleted_at", UtcTime),
    Column("is_baselined", Boolean, nullable=False, server_default=text("false")),
)
Index(
    "uq_models_living",
    models.c.registry,
    models.c.workspace,
    models.c.name,
    unique=True,
    sqlite_where=models.c.deleted_at.is_(None),
    postgresql_where=models.c.deleted_at.is_(None),
)


def is_living(model: ModelRef) -> tuple[ColumnElement[bool], ...]:
    """The conditions of the one row of ``models`` that a name means now."""
    return (
        models.c.registry == model.registry,
        models.c.workspace == model.workspace,
        models.c.name == model.name,
        models.c.deleted_at.is_(None),
    )


def latest_named(model: ModelRef, *wanted: Any) -> Select[Any]:
    """Of ``models``: the living one of that name, or the last that had it where none is alive."""
    return (
        select(*wanted)
        .where(
            models.c.registry == model.registry,
            models.c.workspace == model.workspace,
            models.c.name == model.name,
        )
        .order_by(models.c.deleted_at.is_not(None), models.c.id.desc())
        .limit(1)
    )


SEEN_WEBHOOK, SEEN_READ, SEEN_OWN = 1, 2, 4

events = Table(
    "events",
    metadata,
    Column("seq", BigId, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    _name("type"),
    _name("source"),
    Column("model_id", ForeignKey("models.id")),
    _name("registry", nullable=True),
    _name("workspace", nullable=True),
    _name("model", nullable=True),
    _name("version", nullable=True),
    Column("before", _json()),
    Column("after", _json()),
    Column("data", _json(), nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("caused_by", String(36)),
    Column("seen", Integer, nullable=False),
    Index("ix_events_model_version_seq", "model", "version", "seq"),
    # A model's newest events: without it all of a model's events would be sorted for a page.
    Index("ix_events_model_seq", "model", "seq"),
    Index("ix_events_type_seq", "type", "seq"),
    Index("ix_events_recorded_at", "recorded_at"),
    # Partial where most rows have no value: each index is paid for at every delivery.
    Index(
        "ix_events_caused_by",
        "caused_by",
        sqlite_where=text("caused_by IS NOT NULL"),
        postgresql_where=text("caused_by IS NOT NULL"),
    ),
    Index(
        "ix_events_only_read",
        "seq",
        "type",
        sqlite_where=text("seen = 2"),
        postgresql_where=text("seen = 2"),
    ),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", BigId, primary_key=True),
    _name("sender"),
    _name("delivery_id"),
    Column("event_id", String(36), index=True),
    _name("outcome"),  # event | duplicate | history | test | refused
    Column("reason", Text),
    Column("sent_at", UtcTime),
    Column("received_at", UtcTime, nullable=False),
    Column("body", LargeBinary),
    UniqueConstraint("sender", "delivery_id"),
)

observed = Table(
    "observed",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("subject", String(64), primary_key=True),  # a version, or "" for the model itself
    Column("facet", String(512), primary_key=True),
    Column("value", _json()),
    Column("revision", Integer, nullable=False),
    Column("event_id", String(36)),  # None: known before we kept events
    Column("read_at", UtcTime),
    Column("is_read", Boolean, nullable=False, server_default=text("false")),
)

dispatches = Table(
    "dispatches",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("event_id", ForeignKey("events.id"), nullable=False),
    _name("handler"),
    _name("target", default=""),
    _name("queue"),
    _name("lane", nullable=True),
    _name("state"),  # pending | running | succeeded | skipped | dead
    Column("note", Text, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("wait_until", UtcTime),  # set while a handler waits
    Column("owner", String(128)),
    Column("token", Integer, nullable=False, server_default="0"),
    Column("claimed_at", UtcTime),
    Column("lease_until", UtcTime),
    Column("hint_at", UtcTime, nullable=False),  # when the sweep hints it (again)
    Column("hints", Integer, nullable=False, server_default="0"),
    Column("run", Integer, nullable=False, server_default="1"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    UniqueConstraint("event_id", "handler", "target"),
    Index("ix_dispatches_state_hint_at", "state", "hint_at"),
    Index(
        "ix_dispatches_waiting",
        "wait_until",
        sqlite_where=text("wait_until IS NOT NULL"),
        postgresql_where=text("wait_until IS NOT NULL"),
    ),
    Index(
        "ix_dispatches_lane",
        "lane",
        "state",
        "created_at",
        sqlite_where=text("lane IS NOT NULL"),
        postgresql_where=text("lane IS NOT NULL"),
    ),
)
Index(
    "uq_dispatches_lane_running",
    dispatches.c.lane,
    unique=True,
    sqlite_where=dispatches.c.state == text("'running'"),
    postgresql_where=dispatches.c.state == text("'running'"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("dispatch_id", ForeignKey("dispatches.id"), nullable=False, index=True),
    Column("run", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", String(128)),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime, nullable=False),
    # succeeded | skipped | waiting | failed | dead | expired | released | replayed | cancelled
    _name("outcome"),
    Column("detail", Text),
    Column("repeats", Integer, nullable=False, server_default="1"),
)

intents = Table(
    "intents",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("facet", String(512), nullable=False),
    Column("value", _json()),
    Column("dispatch_id", ForeignKey("dispatches.id"), nullable=False, index=True),
    Column("run", Integer, nullable=False),
    Column("event_id", String(36), nullable=False),
    Column("intended_at", UtcTime, nullable=False),
    Column("fulfilled_at", UtcTime),
    Column("matched_by", String(36)),  # the event that was this write of ours, or came after it
    Index("ix_intents_model_id_facet", "model_id", "subject", "facet"),
)

effects = Table(
    "effects",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("dispatch_id", ForeignKey("dispatches.id"), nullable=False, index=True),
    _name("kind"),
    _name("state"),  # begun | refused | done
    Column("request", _json()),
    Column("answer", Text),
    Column("begun_at", UtcTime, nullable=False),
    Column("done_at", UtcTime),
)

replicas = Table(
    "replicas",
    metadata,
    Column("id", String(255), primary_key=True),
    _name("registry"),
    _name("workspace"),
    _name("model"),
    Column("url", Text, nullable=False),
    _name("version", nullable=True),
    Column("generation", Integer, nullable=False),
    _name("state"),
    Column("boot_id", String(64)),
    Column("started_at", UtcTime),
    Column("last_error", Text),
    Column("seen_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Index("ix_replicas_model", "registry", "workspace", "model"),
)

desired = Table(
    "desired",
    metadata,
    Column("registry", String(512), primary_key=True),
    Column("workspace", String(512), primary_key=True),
    Column("model", String(512), primary_key=True),
    _name("version", nullable=True),
    Column("generation", Integer, nullable=False),
    Column("dispatch_id", String(36)),
    Column("run", Integer),
    Column("event_id", String(36)),
    Column("changed_at", UtcTime, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("token", Integer, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

polls = Table(
    "polls",
    metadata,
    Column("registry", String(512), primary_key=True),
    Column("position", _json(), nullable=False),
    Column("baseline_at", UtcTime),
    Column("completed_at", UtcTime),
    Column("swept_at", UtcTime),
    Column("last_error", Text),
)

policies = Table(
    "policies",
    metadata,
    Column("seq", BigId, primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("activated_at", UtcTime, nullable=False),
)

receipts = Table(
    "receipts",
    metadata,
    # The model's name, not its row: a chain goes on when a row is merged, or a model made again.
    Column("registry", String(512), primary_key=True),
    Column("workspace", String(512), primary_key=True),
    Column("model", String(512), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("event_id", String(36), nullable=False, unique=True),
    _name("version", nullable=True),
    Column("policy_hash", String(64)),
    Column("document", Text, nullable=False),  # canonical, as it was hashed
)

pauses = Table(
    "pauses",
    metadata,
    Column("scope", String(1600), primary_key=True),  # "" is everything, else registry/ws/model
    Column("reason", Text, nullable=False),
    _name("actor"),
    Column("event_id", String(36), nullable=False),
    Column("paused_at", UtcTime, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("text", Text, nullable=False),
    Column("noted_at", UtcTime, nullable=False),
)

processes = Table(
    "processes",
    metadata,
    Column("name", String(255), primary_key=True),
    _name("role"),
    _name("queue", nullable=True),
    _name("software"),
    Column("started_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("clock_skew_microseconds", BigInteger),  # its clock minus the database's
    Column("published_at", UtcTime),  # the last canary that the broker took
    Column("canary_at", UtcTime),  # the last canary that came back to its consumer
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

holdout_uses = Table(
    "holdout_uses",
    metadata,
    Column("model_id", BigInteger, ForeignKey("models.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("used_at", UtcTime, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    _name("owner"),
    _name("role"),
    Column("models", _json()),  # globs; None is every model
    Column("digest", String(64), nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigId, primary_key=True),
    Column("at", UtcTime, nullable=False),
    _name("actor"),
    _name("verb"),
    Column("target", Text, nullable=False),
    Column("detail", _json()),
)
