"""What a version's judgement found, compared and decided; for its account. Pure.

Keys of events' data are read leniently, so that events of any age are told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from handlers.approvals import is_question
from handlers.measured import sides
from steward.events import Event, EventType, direction

DECIDED = (EventType.HELD, EventType.REJECTED, EventType.PROMOTED, EventType.ROLLED_BACK)


def checks(judgement: Event | None, decision: Event | None) -> list[dict[str, Any]]:
    """The gates, the checks that loaded the model, the gates of Production: what there is."""
    rows: list[dict[str, Any]] = []
    for event, key in ((judgement, "gates"), (judgement, "checks"), (decision, "production_gates")):
        rows += dicts(event.data.get(key)) if event else []
    keys = ("name", "status", "value", "threshold", "n", "detail", "seconds")
    return [{key: row.get(key) for key in keys} for row in rows]


def report(judgement: Event | None) -> str | None:
    """The address of the page that shows the checks, where that judgement wrote one."""
    address = judgement.data.get("report") if judgement else None
    return address if isinstance(address, str) else None


def compared(version: str, mine: Sequence[Event]) -> dict[str, Any] | None:
    """Number against number, and on which data each was measured: the newest that was compared.

    By a decision, by a question to people, or by the judgement itself: before a decision, and where
    checks rejected, that is all there is.
    """
    for event in reversed(mine):
        is_told = event.type in (*DECIDED, EventType.VALIDATED) or (
            event.type == EventType.APPROVAL_REQUESTED and is_question(event)
        )
        if is_told and (found := _both(version, event.data)):
            return found
    return None


def _both(version: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
    candidate, champion = data.get("candidate"), data.get("champion")
    if isinstance(candidate, dict) and isinstance(champion, dict):
        both = {key: data.get(key) for key in ("metric", "gain", "margin")}
    elif found := sides(version, data):
        both, candidate, champion = found, found["candidate"], found["champion"]
    else:
        return None
    return {
        **both,
        "candidate": candidate,
        "champion": champion,
        "comparison": data.get("comparison"),
        "is_same_data": _is_same_data(candidate, champion),
    }


def _is_same_data(one: dict[str, Any], other: dict[str, Any]) -> bool | None:
    """Whether both were measured on it; None where a name or a digest was not recorded."""
    pairs = [(one.get(key), other.get(key)) for key in ("dataset", "digest")]
    if any(mine and theirs and mine != theirs for mine, theirs in pairs):
        return False
    return True if all(mine and theirs for mine, theirs in pairs) else None


def decided(event: Event | None, of_itself: Event | None) -> dict[str, Any] | None:
    """The newest decision; a rollback to the version is told as its promotion."""
    if event is None:
        return None
    data = dict(event.data)
    if event is not of_itself:
        way = direction(event.before, event.after)
        reason = f"Production went {way} to it from version {event.before}"
        data |= {"verdict": "promoted", "code": "rolled_back_to", "reasons": [reason]}
    return {
        "verdict": data.get("verdict") or event.type.rpartition(".")[2],
        "code": data.get("code"),
        "reasons": list(data.get("reasons") or ()),
        "policy": data.get("policy"),
        "mode": data.get("mode"),
        "at": event.recorded_at,
        "event_id": event.id,
    }


def gone_back_to(version: str, events: Sequence[Event]) -> Event | None:
    """The rollback that made it Production again, where nothing was decided on it since."""
    found = [
        event
        for event in events
        if event.type in DECIDED and version in (event.version, _returned_to(event))
    ]
    return found[-1] if found and _returned_to(found[-1]) == version else None


def _returned_to(event: Event) -> str | None:
    is_rollback = event.type == EventType.ROLLED_BACK and event.after is not None
    return str(event.after) if is_rollback else None


def not_used(judgement: Event | None, decision: Event | None) -> list[dict[str, Any]]:
    """Values that were found and decided nothing: no rule of the policy reads them."""
    if judgement is None:
        return []
    used = decision.data.get("metric") if decision else None
    gates = {row.get("name") for row in dicts(judgement.data.get("gates"))}
    metrics: Mapping[str, Any] = judgement.data.get("metrics") or {}
    deciding = {name for name in metrics if name == used or f"metric {name}" in gates}
    # A run holds a copy of what was logged on its model: the same value is no other value.
    known = {(metrics[name].get("name"), metrics[name].get("value")) for name in deciding}
    return [
        {key: row.get(key) for key in ("name", "value", "origin", "dataset")}
        for row in dicts(judgement.data.get("found"))
        if (row.get("name"), row.get("value")) not in known
    ]


def dicts(rows: Any) -> list[dict[str, Any]]:
    """The mappings of a list that an event holds; what is none is left out."""
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
