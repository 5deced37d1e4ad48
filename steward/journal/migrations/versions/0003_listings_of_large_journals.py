"""Indexes for the listing in a journal of millions of events; a count of what was polled alone.

An index is built here while nobody writes to the table, about a second for a million events. Who
cannot wait builds it beforehand, while Steward runs, and this step then finds it there (see
docs/performance.md)::

    CREATE INDEX CONCURRENTLY ix_events_model_seq ON events (model, seq);
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ONLY_READ = sa.text("seen = 2")


def upgrade() -> None:
    # Costs every event one entry: a page of a model's newest events is read, and nothing sorted.
    op.create_index("ix_events_model_seq", "events", ["model", "seq"], if_not_exists=True)
    # Costs nothing more than before: the newest of these events instead of one type's.
    op.drop_index("ix_events_only_read", "events")
    op.create_index(
        "ix_events_only_read",
        "events",
        ["seq", "type"],
        sqlite_where=_ONLY_READ,
        postgresql_where=_ONLY_READ,
    )
    # Counted once: from here on, whoever journals or joins such an event counts it.
    op.execute(
        "INSERT INTO counters (name, value) "
        "SELECT 'seen_by_poll:' || type, count(*) FROM events WHERE seen = 2 GROUP BY type"
    )


def downgrade() -> None:
    op.execute("DELETE FROM counters WHERE name LIKE 'seen_by_poll:%'")
    op.drop_index("ix_events_only_read", "events")
    op.create_index(
        "ix_events_only_read",
        "events",
        ["type"],
        sqlite_where=_ONLY_READ,
        postgresql_where=_ONLY_READ,
    )
    op.drop_index("ix_events_model_seq", "events")
