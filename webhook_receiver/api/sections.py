"""The account of one version by subject: registered, waited, checked ... undone. Pure.

`explain` hands over the steps of the causal chain, dispatches and attempts among them; a section
that has nothing to tell is null or an empty list. Keys of events' data are read leniently, so that
events of any age are told.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handlers.approvals import is_question
from handlers.measured import sides
from steward.events import Event, EventType, direction

Step = dict[str, Any]
"""A step of the chain as `explain` answers it: time, type, dispatches with attempts, effects."""

_DECIDED = (EventType.HELD, EventType.REJECTED, EventType.PROMOTED, EventType.ROLLED_BACK)
_JUDGED = (EventType.VALIDATED, EventType.HELD, EventType.REJECTED)
_ROLLOUTS = (EventType.ROLLOUT_FINISHED, EventType.ROLLOUT_FAILED)
_APPROVAL = "approval."
_AFTERWARDS = ("annotate", "notify")
"""Handlers that wait for what the others decide: nobody waits for them."""


def sections_of(version: str, events: Sequence[Event], steps: Sequence[Step]) -> dict[str, Any]:
    """Everything that can be told of a version by subject, as of the newest of these events."""
    mine = [event for event in events if event.version == version]
    judged = _newest(mine, _JUDGED, having="gates")
    decided = _newest(mine, _DECIDED)
    return {
        "registered": _registered(mine),
        "waited": list(_waited(version, steps)),
        "checks": _checks(judged, decided),
        "report": _report(judged),
        "compared": _compared(version, mine),
        "decided": _decided(_gone_back_to(version, events) or decided, decided),
        "approved": [_approval(event) for event in mine if event.type.startswith(_APPROVAL)],
        "promoted": _promoted(version, events, steps),
        "rollout": _rollout(mine),
        "told": list(_told(version, steps)),
        "not_used": _not_used(judged, decided),
        "undo": _undo(version, events),
    }


def _newest(mine: Sequence[Event], types: Sequence[str], *, having: str = "") -> Event | None:
    """The newest event of these types, one whose data has a key before one that lacks it."""
    found = [event for event in mine if event.type in types]
    told = [event for event in found if having in event.data] if having else found
    return told[-1] if told else None


def _registered(mine: Sequence[Event]) -> dict[str, Any] | None:
    event = next((each for each in mine if each.type == EventType.VERSION_CREATED), None)
    if event is None:
        return None
    judged = _newest(mine, _JUDGED, having="lineage")
    lineage = judged.data.get("lineage", {}) if judged else {}
    after = event.after if isinstance(event.after, dict) else {}
    return {
        "at": event.occurred_at,
        "seen_by": event.seen_by,
        "recorded_at": event.recorded_at,
        "run_id": lineage.get("run_id") or event.data.get("run_id") or after.get("run_id"),
        "user": lineage.get("user"),
        "copied_from": lineage.get("copied_from"),
    }


def _waited(version: str, steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """Each thing that a judgement waited for; alike waits are one, from the first to the last."""
    for step in steps:
        if step["version"] != version:
            continue
        for dispatch in step["dispatches"]:
            if dispatch["handler"] in _AFTERWARDS:
                continue
            attempts = dispatch["attempts"]
            for number, each in enumerate(attempts):
                if each["outcome"] != "waiting":
                    continue
                ended = attempts[number + 1] if number + 1 < len(attempts) else None
                since = each["started_at"] or each["ended_at"]
                until = (ended["started_at"] or ended["ended_at"]) if ended else None
                yield {
                    "for": each["detail"].removeprefix("waiting for "),
                    "by": dispatch["handler"],
                    "since": since,
                    "until": until,
                    "seconds": (round(((until or each["ended_at"]) - since).total_seconds(), 3)),
                    "is_over": ended is not None,
                }


def _checks(judged: Event | None, decided: Event | None) -> list[dict[str, Any]]:
    """The gates, the checks that loaded the model, the gates of Production: what there is."""
    rows: list[dict[str, Any]] = []
    for event, key in ((judged, "gates"), (judged, "checks"), (decided, "production_gates")):
        rows += _dicts(event.data.get(key)) if event else []
    keys = ("name", "status", "value", "threshold", "n", "detail", "seconds")
    return [{key: row.get(key) for key in keys} for row in rows]


def _report(judged: Event | None) -> str | None:
    """The address of the page that shows the checks, where that judgement wrote one."""
    address = judged.data.get("report") if judged else None
    return address if isinstance(address, str) else None


def _compared(version: str, mine: Sequence[Event]) -> dict[str, Any] | None:
    """Number against number, and on which data each was measured: the newest that was compared.

    By a decision, by a question to people, or by the judgement itself: before a decision, and where
    checks rejected, that is all there is.
    """
    for event in reversed(mine):
        is_told = event.type in (*_DECIDED, EventType.VALIDATED) or (
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


def _gone_back_to(version: str, events: Sequence[Event]) -> Event | None:
    """The rollback that made it Production again, where nothing was decided on it since."""
    found = [
        event
        for event in events
        if event.type in _DECIDED and version in (event.version, _returned_to(event))
    ]
    return found[-1] if found and _returned_to(found[-1]) == version else None


def _returned_to(event: Event) -> str | None:
    is_rollback = event.type == EventType.ROLLED_BACK and event.after is not None
    return str(event.after) if is_rollback else None


def _decided(event: Event | None, of_itself: Event | None) -> dict[str, Any] | None:
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


def _approval(event: Event) -> dict[str, Any]:
    """Asked for, approved, rejected or expired; who did it, and what they said."""
    data = event.data
    return {
        "what": event.type.removeprefix(_APPROVAL),
        "actor": "steward" if is_question(event) and not data.get("actor") else data.get("actor"),
        "comment": data.get("comment") or data.get("reason"),
        "at": event.recorded_at,
        "event_id": event.id,
    }


def _promoted(
    version: str, events: Sequence[Event], steps: Sequence[Step]
) -> dict[str, Any] | None:
    """When it became Production, instead of what, and what was written in the registry for it."""
    changed = [event for event in events if event.type == EventType.CHAMPION_CHANGED]
    became = [event for event in changed if str(event.after) == version]
    if not became:
        return None
    newest = became[-1]
    left = next((e for e in changed[changed.index(newest) + 1 :] if str(e.before) == version), None)
    by_id = {step["event_id"]: step for step in steps}
    decision = _decision_behind(newest, events)
    cause = by_id.get(decision.caused_by or "") if decision else None
    effects = [e for d in (cause["dispatches"] if cause else ()) for e in d["effects"]]
    return {
        "at": newest.occurred_at,
        "instead_of": None if newest.before is None else str(newest.before),
        "by": "steward" if decision else "a person, in the registry",
        "wrote": [
            {"what": e["what"], "value": e["value"], "state": e["state"]}
            for e in effects
            if e["kind"] == "registry" and not e["what"].startswith("tag:steward.")
        ],
        "until": left.occurred_at if left else None,
        "replaced_by": str(left.after) if left and left.after is not None else None,
        "event_id": newest.id,
    }


def _decision_behind(changed: Event, events: Sequence[Event]) -> Event | None:
    """The promotion or rollback that changed Production; None where a person did."""
    ours = [each for each in events if each.type in (EventType.PROMOTED, EventType.ROLLED_BACK)]
    for event in ours:  # recorded as its cause, or beside it by the same work
        if changed.caused_by is not None and changed.caused_by in (event.id, event.caused_by):
            return event
    return None


def _rollout(mine: Sequence[Event]) -> dict[str, Any] | None:
    """The newest rollout of this version: what each replica answered."""
    ended = _newest(mine, _ROLLOUTS)
    if ended is None:
        return None
    return {
        "is_complete": ended.type == EventType.ROLLOUT_FINISHED,
        "generation": ended.data.get("generation"),
        "seconds": ended.data.get("seconds"),
        "at": ended.recorded_at,
        "replicas": [
            {
                "id": row.get("id") or row.get("replica"),
                "is_serving": bool(row.get("ok")),
                "version": row.get("version"),
                "seconds": row.get("seconds"),
                "error": row.get("error"),
            }
            for row in _dicts(ended.data.get("replicas"))
        ],
    }


def _told(version: str, steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """Each channel, what it was told of and when, or how the sending stands."""
    for step in steps:
        for dispatch in step["dispatches"]:
            if dispatch["handler"] != "notify" or step["version"] != version:
                continue
            ended = dispatch["attempts"][-1] if dispatch["attempts"] else None
            yield {
                "channel": dispatch["target"],
                "of": step["type"],
                "state": dispatch["state"],
                "at": ended["ended_at"] if ended else None,
                "detail": ended["detail"] if ended else dispatch["note"],
                "event_id": step["event_id"],
            }


def _not_used(judged: Event | None, decided: Event | None) -> list[dict[str, Any]]:
    """Values that were found and decided nothing: no rule of the policy reads them."""
    if judged is None:
        return []
    used = decided.data.get("metric") if decided else None
    gates = {row.get("name") for row in _dicts(judged.data.get("gates"))}
    metrics: Mapping[str, Any] = judged.data.get("metrics") or {}
    deciding = {name for name in metrics if name == used or f"metric {name}" in gates}
    # A run holds a copy of what was logged on its model: the same value is no other value.
    known = {(metrics[name].get("name"), metrics[name].get("value")) for name in deciding}
    return [
        {key: row.get(key) for key in ("name", "value", "origin", "dataset")}
        for row in _dicts(judged.data.get("found"))
        if (row.get("name"), row.get("value")) not in known
    ]


def _undo(version: str, events: Sequence[Event]) -> list[str]:
    """How to take it back, as commands, where it is Production and something was before it."""
    changed = [event for event in events if event.type == EventType.CHAMPION_CHANGED]
    if not changed or str(changed[-1].after) != version:
        return []
    newest = changed[-1]
    name = shlex.quote(newest.model.name) if newest.model else "MODEL"
    if newest.before is None:
        return ["Nothing was Production before it: take it out of Production in the registry."]
    return [f"steward rollback {name}", f"steward rollback {name} {newest.before}"]


def _dicts(rows: Any) -> list[dict[str, Any]]:
    """The mappings of a list that an event holds; what is none is left out."""
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
