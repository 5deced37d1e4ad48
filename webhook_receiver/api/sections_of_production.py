"""When a version became Production, what was written for it, and how to take it back. Pure."""

import shlex
from collections.abc import Sequence
from typing import Any

from steward.events import Event, EventType

REQUESTS = (EventType.PROMOTION_REQUESTED, EventType.ROLLBACK_REQUESTED)
Step = dict[str, Any]
"""A step of the chain as `explain` answers it: time, type, dispatches with attempts, effects."""


def promoted(version: str, events: Sequence[Event], steps: Sequence[Step]) -> dict[str, Any] | None:
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
        "asked_by": _who_asked(decision, events) if decision else None,
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


def _who_asked(decision: Event, events: Sequence[Event]) -> str | None:
    """The person whose request was carried out; None where automation decided."""
    asked = next((event for event in events if event.id == decision.caused_by), None)
    if asked is None or asked.type not in REQUESTS:
        return None
    return str(asked.data.get("actor") or "somebody")


def undo(version: str, events: Sequence[Event]) -> list[str]:
    """How to take it back, as commands, where it is Production and something was before it."""
    changed = [event for event in events if event.type == EventType.CHAMPION_CHANGED]
    if not changed or str(changed[-1].after) != version:
        return []
    newest = changed[-1]
    name = shlex.quote(newest.model.name) if newest.model else "MODEL"
    if newest.before is None:
        return ["Nothing was Production before it: take it out of Production in the registry."]
    return [f"steward rollback {name}", f"steward rollback {name} {newest.before}"]
