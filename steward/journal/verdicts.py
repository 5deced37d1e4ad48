"""Where a version stands: the verdict of its latest decision, or that it is being judged.

Called by ``history`` for handlers, and by the API.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, or_, select, union

from steward.events import Event, EventType, ModelRef, direction
from steward.journal import queries, receipts
from steward.journal.schema import SEEN_OWN, SEEN_READ, dispatches, events
from steward.ports import Verdict

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

OPEN_DECISIONS = tuple(
    kind for kind, verdict in DECISIONS.items() if verdict in ("held", "awaiting_approval")
)
JUDGING = ("validate", "promote")


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


def is_decided(connection: Connection, model: ModelRef, version: str) -> bool:
    """Whether anything was decided on a version, also where it is being judged again."""
    return _latest_decision(connection, model, version) is not None


def _gone_back_to(connection: Connection, change: Event) -> Verdict | None:
    """Production again by a rollback, whatever was said of the version before."""
    rollback = queries.get_event(connection, change.caused_by or "")
    if rollback is None:
        return None
    reason = str(rollback.data.get("reason") or "")
    way = direction(rollback.before, rollback.after)
    told = f"Production went {way} to it from version {rollback.before}"
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


def under_judgement(connection: Connection, model: ModelRef) -> frozenset[str]:
    """The versions whose standing verdict is open: waiting, held or awaiting approval."""
    about, version, seq = queries.of_present(model), events.c.version, events.c.seq
    decided = (
        select(version, func.max(seq).label("seq"))
        .where(*about, _settles())
        .group_by(version)
        .subquery()
    )
    standing = (
        select(version).join(decided, decided.c.seq == seq).where(events.c.type.in_(OPEN_DECISIONS))
    )
    judged = (
        select(version)
        .join(dispatches, dispatches.c.event_id == events.c.id)
        .outerjoin(decided, decided.c.version == version)
        .where(*about, _judges(), or_(decided.c.seq.is_(None), seq > decided.c.seq))
    )
    return frozenset(connection.execute(union(standing, judged)).scalars())


def _settles() -> ColumnElement[bool]:
    """Whether an event is a decision, or made its version Production by hand or by a rollback."""
    cause = events.alias()
    by_rollback = exists().where(
        cause.c.id == events.c.caused_by, cause.c.type == EventType.ROLLED_BACK
    )
    made_champion = and_(
        events.c.type == EventType.CHAMPION_CHANGED,
        events.c.after.is_not(None),
        or_(events.c.seen == SEEN_READ, and_(events.c.seen == SEEN_OWN, by_rollback)),
    )
    return or_(is_decision(), made_champion)


def _judges() -> ColumnElement[bool]:
    """Whether a dispatch will yet judge the version of its event, or waits for an operator."""
    return and_(
        dispatches.c.handler.in_(JUDGING),
        dispatches.c.state.in_((*queries.OPEN_STATES, "dead")),
        events.c.type.in_((EventType.VERSION_CREATED, EventType.VALIDATED)),
    )


def _latest_decision(
    connection: Connection, model: ModelRef, version: str
) -> Row[*tuple[Any, ...]] | None:
    query = (
        select(events)
        .where(*queries.of_present(model), events.c.version == version, _settles())
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
        .where(*queries.of_present(model), events.c.version == version, _judges())
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    return connection.execute(query).first()
