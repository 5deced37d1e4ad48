"""The first tables."""

import sqlalchemy as sa
from alembic import op

from steward.journal.schema import BigId, UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", BigId, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("actor", sa.String(length=512), nullable=False),
        sa.Column("verb", sa.String(length=512), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_table(
        "deliveries",
        sa.Column("seq", BigId, nullable=False),
        sa.Column("sender", sa.String(length=512), nullable=False),
        sa.Column("delivery_id", sa.String(length=512), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=True),
        sa.Column("outcome", sa.String(length=512), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("sender", "delivery_id", name=op.f("uq_deliveries_sender_delivery_id")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deliveries_event_id"), ["event_id"], unique=False)

    op.create_table(
        "desired",
        sa.Column("registry", sa.String(length=512), nullable=False),
        sa.Column("workspace", sa.String(length=512), nullable=False),
        sa.Column("model", sa.String(length=512), nullable=False),
        sa.Column("version", sa.String(length=512), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("dispatch_id", sa.String(length=36), nullable=True),
        sa.Column("run", sa.Integer(), nullable=True),
        sa.Column("event_id", sa.String(length=36), nullable=True),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "workspace", "model", name=op.f("pk_desired")),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("installation_id", sa.String(length=512), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "models",
        sa.Column("id", BigId, nullable=False),
        sa.Column("registry", sa.String(length=512), nullable=False),
        sa.Column("workspace", sa.String(length=512), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=True),
        sa.Column("first_seen_at", UtcTime(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.Column("is_baselined", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
    )
    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.create_index(
            "uq_models_living",
            ["registry", "workspace", "name"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "notices",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("noted_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notices")),
    )
    op.create_table(
        "pauses",
        sa.Column("scope", sa.String(length=1600), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=512), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("paused_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_pauses")),
    )
    op.create_table(
        "policies",
        sa.Column("seq", BigId, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("activated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_policies")),
    )
    op.create_table(
        "polls",
        sa.Column("registry", sa.String(length=512), nullable=False),
        sa.Column("position", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("baseline_at", UtcTime(), nullable=True),
        sa.Column("completed_at", UtcTime(), nullable=True),
        sa.Column("swept_at", UtcTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("registry", name=op.f("pk_polls")),
    )
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("registry", sa.String(length=512), nullable=False),
        sa.Column("workspace", sa.String(length=512), nullable=False),
        sa.Column("model", sa.String(length=512), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=512), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=512), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=True),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
    )
    with op.batch_alter_table("replicas", schema=None) as batch_op:
        batch_op.create_index("ix_replicas_model", ["registry", "workspace", "model"], unique=False)

    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=512), nullable=False),
        sa.Column("role", sa.String(length=512), nullable=False),
        sa.Column("models", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    op.create_table(
        "events",
        sa.Column("seq", BigId, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=512), nullable=False),
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.Column("model_id", BigId, nullable=True),
        sa.Column("registry", sa.String(length=512), nullable=True),
        sa.Column("workspace", sa.String(length=512), nullable=True),
        sa.Column("model", sa.String(length=512), nullable=True),
        sa.Column("version", sa.String(length=512), nullable=True),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("occurred_at", UtcTime(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("caused_by", sa.String(length=36), nullable=True),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_events_model_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sa.UniqueConstraint("id", name=op.f("uq_events_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(
            "ix_events_caused_by",
            ["caused_by"],
            unique=False,
            sqlite_where=sa.text("caused_by IS NOT NULL"),
            postgresql_where=sa.text("caused_by IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_events_model_version_seq", ["model", "version", "seq"], unique=False
        )
        batch_op.create_index(
            "ix_events_only_read",
            ["type"],
            unique=False,
            sqlite_where=sa.text("seen = 2"),
            postgresql_where=sa.text("seen = 2"),
        )
        batch_op.create_index("ix_events_recorded_at", ["recorded_at"], unique=False)
        batch_op.create_index("ix_events_type_seq", ["type", "seq"], unique=False)

    op.create_table(
        "observed",
        sa.Column("model_id", BigId, nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("facet", sa.String(length=512), nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=True),
        sa.Column("read_at", UtcTime(), nullable=True),
        sa.Column("is_read", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_observed_model_id")),
        sa.PrimaryKeyConstraint("model_id", "subject", "facet", name=op.f("pk_observed")),
    )
    op.create_table(
        "dispatches",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("handler", sa.String(length=512), nullable=False),
        sa.Column("target", sa.String(length=512), server_default="", nullable=False),
        sa.Column("queue", sa.String(length=512), nullable=False),
        sa.Column("lane", sa.String(length=512), nullable=True),
        sa.Column("state", sa.String(length=512), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("wait_until", UtcTime(), nullable=True),
        sa.Column("owner", sa.String(length=128), nullable=True),
        sa.Column("token", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_at", UtcTime(), nullable=True),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("hint_at", UtcTime(), nullable=False),
        sa.Column("hints", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run", sa.Integer(), server_default="1", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_dispatches_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatches")),
        sa.UniqueConstraint(
            "event_id", "handler", "target", name=op.f("uq_dispatches_event_id_handler_target")
        ),
    )
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.create_index(
            "ix_dispatches_lane",
            ["lane", "state", "created_at"],
            unique=False,
            sqlite_where=sa.text("lane IS NOT NULL"),
            postgresql_where=sa.text("lane IS NOT NULL"),
        )
        batch_op.create_index("ix_dispatches_state_hint_at", ["state", "hint_at"], unique=False)
        batch_op.create_index(
            "ix_dispatches_waiting",
            ["wait_until"],
            unique=False,
            sqlite_where=sa.text("wait_until IS NOT NULL"),
            postgresql_where=sa.text("wait_until IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_dispatches_lane_running",
            ["lane"],
            unique=True,
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        )

    op.create_table(
        "attempts",
        sa.Column("id", BigId, nullable=False),
        sa.Column("dispatch_id", sa.String(length=36), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=True),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=False),
        sa.Column("outcome", sa.String(length=512), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("repeats", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name=op.f("fk_attempts_dispatch_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_dispatch_id"), ["dispatch_id"], unique=False)

    op.create_table(
        "effects",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("dispatch_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=512), nullable=False),
        sa.Column("state", sa.String(length=512), nullable=False),
        sa.Column("request", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("begun_at", UtcTime(), nullable=False),
        sa.Column("done_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name=op.f("fk_effects_dispatch_id")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_effects")),
    )
    with op.batch_alter_table("effects", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_effects_dispatch_id"), ["dispatch_id"], unique=False)

    op.create_table(
        "intents",
        sa.Column("id", BigId, nullable=False),
        sa.Column("model_id", BigId, nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("facet", sa.String(length=512), nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("dispatch_id", sa.String(length=36), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("intended_at", UtcTime(), nullable=False),
        sa.Column("fulfilled_at", UtcTime(), nullable=True),
        sa.Column("matched_by", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name=op.f("fk_intents_dispatch_id")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_intents_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intents")),
    )
    with op.batch_alter_table("intents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_intents_dispatch_id"), ["dispatch_id"], unique=False)
        batch_op.create_index(
            "ix_intents_model_id_facet", ["model_id", "subject", "facet"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("intents", schema=None) as batch_op:
        batch_op.drop_index("ix_intents_model_id_facet")
        batch_op.drop_index(batch_op.f("ix_intents_dispatch_id"))

    op.drop_table("intents")
    with op.batch_alter_table("effects", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_effects_dispatch_id"))

    op.drop_table("effects")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempts_dispatch_id"))

    op.drop_table("attempts")
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_dispatches_lane_running",
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        )
        batch_op.drop_index(
            "ix_dispatches_waiting",
            sqlite_where=sa.text("wait_until IS NOT NULL"),
            postgresql_where=sa.text("wait_until IS NOT NULL"),
        )
        batch_op.drop_index("ix_dispatches_state_hint_at")
        batch_op.drop_index(
            "ix_dispatches_lane",
            sqlite_where=sa.text("lane IS NOT NULL"),
            postgresql_where=sa.text("lane IS NOT NULL"),
        )

    op.drop_table("dispatches")
    op.drop_table("observed")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_type_seq")
        batch_op.drop_index("ix_events_recorded_at")
        batch_op.drop_index(
            "ix_events_only_read",
            sqlite_where=sa.text("seen = 2"),
            postgresql_where=sa.text("seen = 2"),
        )
        batch_op.drop_index("ix_events_model_version_seq")
        batch_op.drop_index(
            "ix_events_caused_by",
            sqlite_where=sa.text("caused_by IS NOT NULL"),
            postgresql_where=sa.text("caused_by IS NOT NULL"),
        )

    op.drop_table("events")
    op.drop_table("tokens")
    with op.batch_alter_table("replicas", schema=None) as batch_op:
        batch_op.drop_index("ix_replicas_model")

    op.drop_table("replicas")
    op.drop_table("polls")
    op.drop_table("policies")
    op.drop_table("pauses")
    op.drop_table("notices")
    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_models_living",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.drop_table("models")
    op.drop_table("leases")
    op.drop_table("installation")
    op.drop_table("desired")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deliveries_event_id"))

    op.drop_table("deliveries")
    op.drop_table("audit")
