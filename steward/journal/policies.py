"""The policy in force: kept by hash, activated once for all processes."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from steward.events import EventType, ModelRef, NewEvent
from steward.journal.globs import matches_glob
from steward.journal.schema import installation, is_living, models, observed, policies
from steward.policy import PolicySet

if TYPE_CHECKING:  # the store and the writer use this module
    from sqlalchemy import Connection

    from steward.journal.routing import ChannelsFor
    from steward.journal.store import Journal, Transaction


def active(connection: "Connection") -> PolicySet:
    """The policies in force; observing only, when none was ever activated."""
    row = connection.execute(_NEWEST).first()
    return _parsed(row.text, row.file) if row and row.text else _observe_only()


_NEWEST = select(policies.c.text, policies.c.file).order_by(policies.c.seq.desc()).limit(1)


@cache
def _observe_only() -> PolicySet:
    return PolicySet.observe_only()


@lru_cache(maxsize=8)
def _parsed(text: str, file: str) -> PolicySet:
    return PolicySet.parse(text, file=file)


def activate(journal: "Journal", policy_set: PolicySet, *, file: str) -> str | None:
    """Put a policy file in force and record ``policy.changed``; None when it already is."""
    from steward.journal.writing import EventWriter  # it routes by the policy in force

    with journal.write() as transaction:
        # Processes that start at once see the same file: the second finds it in force.
        transaction.connection.execute(select(installation.c.id).with_for_update())
        before = active(transaction.connection).hash
        if before == policy_set.hash:
            return None
        transaction.connection.execute(
            insert(policies).values(
                hash=policy_set.hash,
                text=policy_set.text,
                file=file,
                activated_at=transaction.now,
            )
        )
        writer = EventWriter(journal, transaction)
        event_id = writer.add(
            NewEvent(
                EventType.POLICY_CHANGED,
                before=before or None,
                after=policy_set.hash,
                data={"file": file, "policies": [policy.name for policy in policy_set.policies]},
            ),
            seen=0,
        )
        writer.flush()
    return event_id


def model_tags(connection: "Connection", model: ModelRef) -> dict[str, str]:
    """The model's own tags as last observed; policies may match on them."""
    rows = connection.execute(
        select(observed.c.facet, observed.c.value)
        .join(models, models.c.id == observed.c.model_id)
        .where(
            *is_living(model),
            observed.c.subject == "",
            matches_glob(observed.c.facet, "tag:*"),
        )
    )
    return {row.facet.removeprefix("tag:"): row.value for row in rows if row.value is not None}


def channels_for(journal: "Journal", transaction: "Transaction") -> "ChannelsFor":
    """Which channels the policy in force tells of an event type."""

    def channels(model: ModelRef | None, event_type: str) -> tuple[str, ...]:
        connection = transaction.connection
        tags = model_tags(connection, model) if model else {}
        return active(connection).channels_for(
            model, event_type, tags=tags, available=journal.channels
        )

    return channels
