"""Writes a receipt of each decision, in the transaction that records the decision; and reads them.

Called by :class:`steward.journal.writing.EventWriter`, the only way an event enters the journal.
One chain is the decisions on one model name of one registry, also when the model of that name was
deleted and made again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, insert, select

from steward import __version__
from steward.events import EventType, ModelRef
from steward.journal.schema import events, installation, is_living, models, policies, receipts
from steward.receipts import SCHEMA, canonical, hash_of, storable

if TYPE_CHECKING:  # the store's writer uses this module
    from steward.journal.store import Transaction

RECEIPTED = frozenset(
    {
        str(EventType.HELD),
        str(EventType.REJECTED),
        str(EventType.PROMOTED),
        str(EventType.ROLLED_BACK),
        "promotion.requested",
        "approval.requested",
        "approval.approved",
        "approval.rejected",
        "approval.expired",
    }
)
"""The event types that are decisions, those of people too."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One receipt as the journal keeps it: its hash, and its canonical form as text."""

    hash: str
    text: str
    sequence: int
    policy_hash: str | None
    model: ModelRef


def write(transaction: "Transaction", rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the receipts of those events, given as rows of ``events``, that are decisions."""
    for row in rows:
        if row["type"] in RECEIPTED and row["model"] is not None:
            _append(transaction.connection, row)


def of_event(connection: Connection, event_id: str) -> str | None:
    """The hash of an event's receipt; None for what is no decision, or older than receipts."""
    query = select(receipts.c.hash).where(receipts.c.event_id == event_id)
    return connection.execute(query).scalar()


def page(
    connection: Connection, model: ModelRef, *, version: str | None, after: int, limit: int
) -> list[Kept]:
    """Receipts of a model (and version) after a sequence number, oldest first."""
    query = _chain(model).where(receipts.c.seq > after).order_by(receipts.c.seq)
    if version is not None:
        query = query.where(receipts.c.version == version)
    return [_kept(row) for row in connection.execute(query.limit(limit))]


def beginning_with(connection: Connection, prefix: str, *, limit: int = 2) -> list[Kept]:
    """Receipts whose hash begins like this."""
    after = prefix + "g"  # no hex digit: a range, which an index serves on both databases
    query = select(receipts).where(receipts.c.hash >= prefix, receipts.c.hash < after)
    return [_kept(row) for row in connection.execute(query.limit(limit))]


def head_of(connection: Connection, model: ModelRef) -> Kept | None:
    """The newest receipt of a model."""
    row = connection.execute(_chain(model).order_by(receipts.c.seq.desc()).limit(1)).first()
    return _kept(row) if row else None


def policy_texts(connection: Connection, hashes: Iterable[str | None]) -> dict[str, str]:
    """The texts of policy files by their sha256 (hex)."""
    query = select(policies.c.hash, policies.c.text).where(policies.c.hash.in_(set(hashes)))
    return {row.hash: row.text for row in connection.execute(query)}


# -- inside ------------------------------------------------------------------------------------


def _append(connection: Connection, row: Mapping[str, Any]) -> None:
    model = ModelRef(row["model"], row["registry"], row["workspace"])
    # One at a time for each model; where its row is gone, the unique key keeps them apart.
    connection.execute(select(models.c.id).where(*is_living(model)).with_for_update())
    last = head_of(connection, model)
    sequence = last.sequence + 1 if last else 1
    policy = _policy_of(connection, row["data"].get("policy"))
    document = storable(
        {
            "schema": SCHEMA,
            "installation": connection.execute(select(installation.c.installation_id)).scalar(),
            "software": {"name": "steward", "version": __version__},
            "registry": model.registry,
            "workspace": model.workspace,
            "model": model.name,
            "version": row["version"],
            "sequence": sequence,
            "previous": last.hash if last else None,
            "time": row["recorded_at"].isoformat(),
            "event": {key: row[key] for key in ("id", "type", "source", "before", "after")},
            "decision": row["data"],
            "cause": _cause_of(connection, row["caused_by"]),
            "policy": policy,
        }
    )
    connection.execute(
        insert(receipts).values(
            registry=model.registry,
            workspace=model.workspace,
            model=model.name,
            seq=sequence,
            hash=hash_of(document),
            event_id=row["id"],
            version=row["version"],
            policy_hash=policy["hash"],
            document=canonical(document).decode(),
        )
    )


def _policy_of(connection: Connection, ref: str | None) -> dict[str, Any]:
    """The policy that a decision names (``fraud@0123456789ab``); else the one in force."""
    query = select(policies.c.hash).order_by(policies.c.seq.desc()).limit(1)
    _, _, digest = (ref or "").partition("@")
    if digest:
        query = query.where(policies.c.hash.startswith(digest, autoescape=True))
    return {"ref": ref, "hash": connection.execute(query).scalar()}


def _cause_of(connection: Connection, event_id: str | None) -> dict[str, Any] | None:
    """What was decided on: the validation with its gates and numbers, or what a person asked."""
    if event_id is None:
        return None
    row = connection.execute(select(events).where(events.c.id == event_id)).first()
    return {"id": row.id, "type": row.type, "data": row.data} if row else {"id": event_id}


def _chain(model: ModelRef) -> Select[Any]:
    return select(receipts).where(
        receipts.c.registry == model.registry,
        receipts.c.workspace == model.workspace,
        receipts.c.model == model.name,
    )


def _kept(row: Row[Any]) -> Kept:
    model = ModelRef(row.model, row.registry, row.workspace)
    return Kept(row.hash, row.document, row.seq, row.policy_hash, model)
