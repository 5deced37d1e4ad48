"""Files deliveries: many at once, one transaction, each answered with the event it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from steward.events import ModelRef, NewEvent
from steward.failpoints import failpoint
from steward.journal import counters
from steward.journal.bulk import insert_many
from steward.journal.facets import DESCRIPTION, EXISTS, NEW_VERSION_STAGE, STAGE
from steward.journal.observed import ObservedState
from steward.journal.schema import SEEN_READ, SEEN_WEBHOOK, deliveries, events
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import EventWriter
from steward.ports import Hint


@dataclass(frozen=True, slots=True)
class News:
    """What a delivery says became true.

    ``subject`` and ``facet`` name what of the model or version it is about (None: a type that we
    know nothing of; journalled each time). ``value`` is what the facet is now, None for absent.
    """

    type: str
    source: str
    model: ModelRef | None
    version: str | None
    subject: str = ""
    facet: str | None = None
    value: Any = None
    data: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified inbound POST. ``news`` is None for a sender's test delivery."""

    sender: str
    delivery_id: str
    body: bytes
    sent_at: datetime
    news: News | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The event a delivery belongs to (None: known before we kept events), and if it was known."""

    event_id: str | None
    duplicate: bool


@retried
def record(journal: Journal, batch: Sequence[Delivery]) -> tuple[list[Receipt], list[Hint]]:
    """Journal a batch in one transaction; receipts come in the batch's order.

    Raises:
        JournalUnavailableError: nothing of the batch was recorded.

    """
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        state = ObservedState(transaction, writer)
        _load(state, [delivery.news for delivery in batch if delivery.news])
        known = _known(transaction, batch)  # after the lock: another receiver may have it by now
        rows: list[dict[str, Any]] = []
        receipts: list[Receipt] = []
        for delivery in batch:
            key = (delivery.sender, delivery.delivery_id)
            if key in known:
                receipts.append(Receipt(known[key], duplicate=True))
                continue
            outcome, event_id = _file(state, delivery)
            known[key] = event_id
            receipts.append(Receipt(event_id, duplicate=outcome != "event"))
            rows.append(_row(transaction, delivery, outcome, event_id))
        writer.flush()
        state.flush()
        if rows:
            _keep(transaction, rows)
        failpoint("intake.before_commit")
    return receipts, transaction.hints


@retried
def refuse(journal: Journal, delivery: Delivery, reason: str) -> None:
    """Keep an authentic delivery that was refused, with the reason, for operators to see."""
    with journal.write() as transaction:
        if not _known(transaction, [delivery]):
            row = _row(transaction, delivery, "refused", None) | {"reason": reason}
            _keep(transaction, [row])


def _keep(transaction: Transaction, rows: list[dict[str, Any]]) -> None:
    """One duplicate spoils no batch."""
    insert_many(transaction.connection, deliveries, rows, ignores_existing=True)


def _known(
    transaction: Transaction, batch: Sequence[Delivery]
) -> dict[tuple[str, str], str | None]:
    table = deliveries.c
    # Column by column: SQLite scans the whole table for a list of pairs. More rows do no harm.
    query = select(table.sender, table.delivery_id, table.event_id).where(
        table.sender.in_({delivery.sender for delivery in batch}),
        table.delivery_id.in_({delivery.delivery_id for delivery in batch}),
    )
    rows = transaction.connection.execute(query)
    return {(row.sender, row.delivery_id): row.event_id for row in rows}


def _load(state: ObservedState, news: Sequence[News]) -> None:
    touched = [(each.model, each.subject) for each in news if each.model]
    state.lock_models(model for model, _ in touched)
    state.load((state.model_id(model), subject) for model, subject in touched)


def _file(state: ObservedState, delivery: Delivery) -> tuple[str, str | None]:
    """What became of one delivery: its outcome and its event's id."""
    news = delivery.news
    if news is None:
        return "test", None
    new = NewEvent(
        news.type,
        news.model,
        news.version,
        data=news.data,
        source=news.source,
        occurred_at=delivery.sent_at,
    )
    if news.model is None or news.facet is None:
        model_id = state.model_id(news.model) if news.model else None
        return "event", state.writer.add(new, seen=SEEN_WEBHOOK, model_id=model_id)
    model_id = state.model_id(news.model)
    row = state.rows.get((model_id, news.subject, news.facet))
    if row and row.read_at and delivery.sent_at < row.read_at and row.value != news.value:
        return "duplicate" if row.event_id else "history", row.event_id
    is_absent_tag_or_alias = row is None and news.value is None
    found = state.compare(
        news.model, news.subject, news.facet, news.value, seen=SEEN_WEBHOOK, new=new
    )
    if found.is_event:
        if news.facet == EXISTS and news.value:
            _seed(state, model_id, news, found.event_id)
        return "event", found.event_id
    if found.event_id:
        _seen_by_webhook(state, found.event_id)
        return "duplicate", found.event_id
    return "duplicate" if is_absent_tag_or_alias else "history", None


def _seed(state: ObservedState, model_id: int, news: News, event_id: str | None) -> None:
    facets: dict[str, Any] = {f"tag:{key}": value for key, value in news.tags.items()}
    facets[DESCRIPTION] = news.description or None
    if news.subject:
        facets[STAGE] = NEW_VERSION_STAGE
    state.seed(model_id, news.subject, facets, event_id=event_id)


def _seen_by_webhook(state: ObservedState, event_id: str) -> None:
    """Note it, once; an event that only the poll had seen is then no longer one of those."""
    connection, this = state.transaction.connection, events.c.id == event_id
    query = select(events.c.type, events.c.seen).where(this).with_for_update()
    row = connection.execute(query).first()
    if row is None or row.seen & SEEN_WEBHOOK:
        return
    connection.execute(update(events).where(this).values(seen=row.seen | SEEN_WEBHOOK))
    if row.seen == SEEN_READ:
        counters.seen_by_poll(state.transaction, [row.type], -1)


def _row(
    transaction: Transaction, delivery: Delivery, outcome: str, event_id: str | None
) -> dict[str, Any]:
    return {
        "sender": delivery.sender,
        "delivery_id": delivery.delivery_id,
        "event_id": event_id,
        "outcome": outcome,
        "reason": None,
        "sent_at": delivery.sent_at,
        "received_at": transaction.now,
        "body": delivery.body,
    }
