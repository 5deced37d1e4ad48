"""What the journal tells handlers: verdicts, past champions, desired state, pauses (ports.History).

One object serves one claimed dispatch.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    exists,
    insert,
    or_,
    select,
    update,
)

from steward.events import Event, EventType, ModelRef, NewEvent
from steward.journal import approvals, queries, readings, receipts
from steward.journal.champions import numbers, past_champions
from steward.journal.claims import Claimed, hold
from steward.journal.schema import (
    SEEN_OWN,
    SEEN_READ,
    desired,
    dispatches,
    events,
    pauses,
)
from steward.journal.store import Journal, Transaction, retried
from steward.journal.writing import EventWriter
from steward.ports import Desired, Verdict

DECISIONS: dict[str, str] = {
    EventType.HELD: "held",
    EventType.REJECTED: "rejected",
    EventType.PROMOTED: "promoted",
    EventType.ROLLED_BACK: "rolled_back",
    EventType.APPROVAL_REQUESTED: "awaiting_approval",
    EventType.APPROVAL_REJECTED: "rejected",
    EventType.APPROVAL_EXPIRED: "held",
}
"""Which event types are decisions, and the verdict each one is."""

JUDGING = ("validate", "promote")


class JournalHistory:
    """ports.History over the journal."""

    def __init__(self, journal: Journal, claimed: Claimed) -> None:
        self._journal = journal
        self._claimed = claimed

    def look(self, model: ModelRef) -> readings.ModelLook:
        return readings.look(self._journal, model)

    def verdict(self, model: ModelRef, version: str) -> Verdict | None:
        with self._journal.read() as connection:
            return standing_verdict(connection, model, version)

    def rolled_back_from(self, model: ModelRef) -> frozenset[str]:
        return self._versions_of(model, EventType.ROLLED_BACK)

    def rejected_by_person(self, model: ModelRef) -> frozenset[str]:
        with self._journal.read() as connection:
            return frozenset(approvals.rejected(connection, model))

    def said(self, model: ModelRef, version: str) -> list[Event]:
        with self._journal.read() as connection:
            return approvals.said(connection, model, version)

    def champions(self, model: ModelRef) -> list[str]:
        with self._journal.read() as connection:
            return past_champions(connection, model)

    def numbers(self, model: ModelRef) -> dict[str, str]:
        with self._journal.read() as connection:
            return numbers(connection, model)

    def chain(self, event_id: str) -> list[Event]:
        with self._journal.read() as connection:
            return queries.chain(connection, event_id)

    def caused(self, event_id: str) -> list[Event]:
        with self._journal.read() as connection:
            return queries.caused_by(connection, event_id)

    def desired(self, model: ModelRef) -> Desired | None:
        with self._journal.read() as connection:
            row = desired_row(connection, model)
        return Desired(model, row.version, row.generation) if row else None

    @retried
    def next_generation(self, model: ModelRef, version: str | None, cause: Event) -> Desired:
        with self._journal.write() as transaction:
            hold(transaction, self._claimed)
            return _advance(self._journal, transaction, self._claimed, model, version, cause)

    def paused(self, model: ModelRef) -> str | None:
        with self._journal.read() as connection:
            row = pause_of(connection, model)
        return f"paused by {row.actor}: {row.reason}" if row else None

    def _versions_of(self, model: ModelRef, event_type: str) -> frozenset[str]:
        with self._journal.read() as connection:
            found = queries.events_of(connection, model, types=(event_type,))
        return frozenset(event.version for event in found if event.version)


def standing_verdict(connection: Connection, model: ModelRef, version: str) -> Verdict | None:
    """Where a version stands: waiting while it is being judged, else its latest decision."""
    decided = _latest_decision(connection, model, version)
    judging = _open_judgement(connection, model, version)
    if judging and (decided is None or judging.seq > decided.seq):
        return _waiting(judging)
    if decided is None:
        return None
    event = queries.event_of(decided)
    if event.type == EventType.CHAMPION_CHANGED and event.seen_by == "self":
        return _gone_back_to(connection, event)
    if event.type == EventType.CHAMPION_CHANGED:
        return Verdict(
            verdict="promoted",
            reasons=("made Production in the registry, not by Steward",),
            code="by_hand",
            event_id=event.id,
            at=event.recorded_at,
        )
    return Verdict(
        verdict=DECISIONS[event.type],
        reasons=tuple(event.data.get("reasons", ())) or (str(event.data.get("reason", "")),),
        code=str(event.data.get("code", "")),
        event_id=event.id,
        policy=event.data.get("policy"),
        at=event.recorded_at,
        receipt=receipts.of_event(connection, event.id),
    )


def _gone_back_to(connection: Connection, change: Event) -> Verdict | None:
    """Production again by a rollback, whatever was said of the version before."""
    rollback = queries.get_event(connection, change.caused_by or "")
    if rollback is None:
        return None
    reason = str(rollback.data.get("reason") or "")
    told = f"Production went back to it from version {rollback.before}"
    return Verdict(
        verdict="promoted",
        reasons=(told + (f": {reason}" if reason else ""),),
        code="rolled_back_to",
        event_id=rollback.id,
        policy=rollback.data.get("policy"),
        at=rollback.recorded_at,
        receipt=receipts.of_event(connection, rollback.id),
    )


def _waiting(judging: Row[*tuple[Any, ...]]) -> Verdict:
    reason = "being judged" if judging.note == "new" else judging.note
    is_dead = judging.state == "dead"
    if is_dead:
        reason = f"{judging.handler} failed and waits for an operator's replay: {judging.note}"
    return Verdict(
        verdict="waiting",
        reasons=(reason,),
        code="dead" if is_dead else "waiting",
        event_id=judging.event_id,
        at=judging.recorded_at,
    )


def is_decision() -> ColumnElement[bool]:
    """Whether an event decides: of requests only Steward's own question, which has a verdict."""
    return and_(
        events.c.type.in_(tuple(DECISIONS)),
        or_(
            events.c.type != EventType.APPROVAL_REQUESTED,
            events.c.data["verdict"].as_string().is_not(None),
        ),
    )


def _latest_decision(
    connection: Connection, model: ModelRef, version: str
) -> Row[*tuple[Any, ...]] | None:
    cause = events.alias()
    by_rollback = exists().where(
        cause.c.id == events.c.caused_by, cause.c.type == EventType.ROLLED_BACK
    )
    made_champion = and_(
        events.c.type == EventType.CHAMPION_CHANGED,
        events.c.after.is_not(None),
        or_(events.c.seen == SEEN_READ, and_(events.c.seen == SEEN_OWN, by_rollback)),
    )
    query = (
        select(events)
        .where(
            events.c.model == model.name,
            events.c.registry == model.registry,
            events.c.workspace == model.workspace,
            events.c.version == version,
            or_(is_decision(), made_champion),
        )
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    return connection.execute(query).first()


def _open_judgement(
    connection: Connection, model: ModelRef, version: str
) -> Row[*tuple[Any, ...]] | None:
    query = (
        select(
            dispatches.c.note,
            dispatches.c.event_id,
            dispatches.c.state,
            dispatches.c.handler,
            events.c.seq,
            events.c.recorded_at,
        )
        .join(events, events.c.id == dispatches.c.event_id)
        .where(
            events.c.model == model.name,
            events.c.registry == model.registry,
            events.c.workspace == model.workspace,
            events.c.version == version,
            dispatches.c.handler.in_(JUDGING),
            dispatches.c.state.in_((*queries.OPEN_STATES, "dead")),
            events.c.type.in_((EventType.VERSION_CREATED, EventType.VALIDATED)),
        )
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    return connection.execute(query).first()


def desired_row(connection: Connection, model: ModelRef) -> Row[*tuple[Any, ...]] | None:
    """The desired state of one model's replicas."""
    return connection.execute(_desired(model)).first()


def _desired(model: ModelRef) -> Select[*tuple[Any, ...]]:
    return select(desired).where(
        desired.c.registry == model.registry,
        desired.c.workspace == model.workspace,
        desired.c.model == model.name,
    )


def pause_of(connection: Connection, model: ModelRef | None) -> Row[*tuple[Any, ...]] | None:
    """The pause that covers a model: its own, or everything's."""
    scopes = ["", scope_of(model)] if model else [""]
    query = select(pauses).where(pauses.c.scope.in_(scopes)).order_by(pauses.c.scope.desc())
    return connection.execute(query).first()


def scope_of(model: ModelRef | None) -> str:
    """What a pause covers, as a key."""
    return f"{model.registry}/{model.workspace}/{model.name}" if model else ""


def _advance(  # noqa: PLR0917  # the six things that a new generation is made of
    journal: Journal,
    transaction: Transaction,
    claimed: Claimed,
    model: ModelRef,
    version: str | None,
    cause: Event,
) -> Desired:
    row = transaction.connection.execute(_desired(model).with_for_update()).first()
    mine = (claimed.work.dispatch_id, claimed.work.run)
    if row and (row.dispatch_id, row.run) == mine and row.version == version:
        return Desired(model, row.version, row.generation)
    generation = (row.generation if row else 0) + 1
    writer = EventWriter(journal, transaction)
    event_id = writer.add(
        NewEvent(
            EventType.ROLLOUT_STARTED,
            model,
            version,
            before=row.version if row else None,
            after=version,
            data={"generation": generation},
            caused_by=cause.id,
        ),
        seen=0,
        model_id=claimed.model_id,
    )
    writer.flush()
    values = {
        "version": version,
        "generation": generation,
        "dispatch_id": mine[0],
        "run": mine[1],
        "event_id": event_id,
        "changed_at": transaction.now,
    }
    key = {"registry": model.registry, "workspace": model.workspace, "model": model.name}
    if row:
        statement = update(desired).where(*(desired.c[name] == key[name] for name in key))
        transaction.connection.execute(statement.values(values))
    else:
        transaction.connection.execute(insert(desired).values({**key, **values}))
    return Desired(model, version, generation)
