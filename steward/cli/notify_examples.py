"""Example events with their causes, one of each kind people are told about; all invented.

Used by ``steward notify test``, and by the tests of messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from steward.events import Event, EventType, ModelRef, uuid7

MODEL = ModelRef("credit-risk")
_POLICY = {"policy": "credit@4f1c2a9be0d7", "mode": "act"}
_SIX = {"version": "6", "value": 0.8721, "name": "test_auc", "dataset": "holdout-2026q3"}
_SEVEN = {**_SIX, "version": "7", "value": 0.9034}
_COMPARED = {**_POLICY, "metric": "auc", "champion": _SIX, "margin": "0.02"}


@dataclass(frozen=True, slots=True)
class Example:
    """An event that is told, and its causal chain: the event first, its cause next."""

    event: Event
    chain: tuple[Event, ...]


def examples() -> dict[str, Example]:
    """By the event type that people would name; new ids and the present time at each call."""
    promoted = _event(EventType.PROMOTED, data=_PROMOTED)
    changed = _event(EventType.CHAMPION_CHANGED, before="6", after="7", version=None)
    rolled_back = _event(EventType.ROLLED_BACK, before="7", after="6", data=_ROLLED_BACK)
    back = _event(EventType.CHAMPION_CHANGED, before="7", after="6", version=None)
    return {
        EventType.PROMOTED: _chain(_rollout(EventType.ROLLOUT_FINISHED), changed, promoted),
        EventType.ROLLOUT_FAILED: _chain(_rollout(EventType.ROLLOUT_FAILED), changed, promoted),
        EventType.HELD: _chain(_event(EventType.HELD, data=_HELD)),
        EventType.REJECTED: _chain(_event(EventType.REJECTED, data=_REJECTED)),
        EventType.APPROVAL_REQUESTED: _chain(_event(EventType.APPROVAL_REQUESTED, data=_ASKED)),
        EventType.APPROVAL_REJECTED: _chain(_event(EventType.APPROVAL_REJECTED, data=_SAID_NO)),
        EventType.APPROVAL_EXPIRED: _chain(_event(EventType.APPROVAL_EXPIRED, data=_EXPIRED)),
        EventType.CHAMPION_CHANGED: _chain(_rollout(EventType.ROLLOUT_FINISHED), changed),
        EventType.ROLLED_BACK: _chain(
            _rollout(EventType.ROLLOUT_FINISHED, version="6"), back, rolled_back
        ),
        EventType.POLICY_VIOLATED: _chain(_event(EventType.POLICY_VIOLATED, data=_VIOLATED)),
        EventType.DISPATCH_DIED: _chain(_event(EventType.DISPATCH_DIED, data=_DIED)),
    }


_PROMOTED = {
    **_COMPARED,
    "verdict": "promoted",
    "code": "beats_production",
    "reasons": ["auc 0.9034 beats the 0.8721 of version 6 by 0.0313; 0.02 was asked for."],
    "candidate": _SEVEN,
    "gain": "0.0313",
}
_HELD = {
    **_COMPARED,
    "verdict": "held",
    "code": "below_margin",
    "reasons": ["auc 0.8790 is better than the 0.8721 of version 6 by 0.0069 only."],
    "candidate": {**_SEVEN, "value": 0.879},
    "gain": "0.0069",
}
_REJECTED = {
    **_POLICY,
    "verdict": "rejected",
    "code": "below_minimum",
    "reasons": ["auc 0.8107 is below the minimum of 0.85.", "The tag data_version is missing."],
    "metric": "auc",
    "candidate": {**_SEVEN, "value": 0.8107},
    "champion": None,
    "next": ["Set the tag data_version on the version. Its auc needs a better model."],
}
_ASKED = {
    **_HELD,
    "verdict": "awaiting_approval",
    "code": "inconclusive",
    "reasons": [
        "better by 0.0069, but not for sure",
        "0 of 1 approvals are given; asked are: maria, paul",
    ],
    "expires_at": "2026-12-04T12:00:00+00:00",
    "next": ["steward approve credit-risk 7, or: steward reject credit-risk 7 --reason REASON"],
}
_SAID_NO = {
    **_POLICY,
    "verdict": "rejected",
    "code": "rejected_by_person",
    "actor": "maria",
    "reasons": ["rejected by maria: trained before the new fees"],
}
_EXPIRED = {
    **_POLICY,
    "verdict": "held",
    "code": "approval_expired",
    "reasons": ["nobody answered within 72 hours"],
    "next": ["To ask again: steward request-approval credit-risk 7"],
}
_ROLLED_BACK = {"reason": "Too many false alarms since noon.", "actor": "maria"}
_VIOLATED = {
    "violation": "two_in_production",
    "detail": "Versions 6 and 7 are both in the stage Production.",
    "next": ["Archive the one that should not be there, in MLflow's pages."],
}
_DIED = {
    "handler": "promote",
    "target": "",
    "event_id": "0198c0de-0000-7000-8000-000000000000",
    "event_type": EventType.VALIDATED,
    "error": "The registry answered 403 to the move into the stage Production.",
    "attempts": 8,
}


def _event(
    event_type: str,
    *,
    version: str | None = "7",
    before: Any = None,
    after: Any = None,
    data: Mapping[str, Any] | None = None,
) -> Event:
    now = datetime.now(UTC)
    return Event(
        id=uuid7(),
        type=event_type,
        source="steward",
        model=MODEL,
        version=version,
        before=before,
        after=after,
        data=data or {},
        occurred_at=now,
        recorded_at=now,
    )


def _rollout(event_type: EventType, version: str = "7") -> Event:
    replicas: list[dict[str, Any]] = [
        {"id": f"replica-{n}", "url": f"http://10.0.0.{n}:9000", "ok": True, "version": version}
        for n in (1, 2, 3)
    ]
    if event_type == EventType.ROLLOUT_FAILED:
        replicas[2] |= {"ok": False, "version": "6", "error": "version 7 did not load: no memory"}
    data = {"generation": 12, "version": version, "replicas": replicas, "seconds": 1.7}
    return _event(event_type, version=version, data=data)


def _chain(*newest_first: Event) -> Example:
    return Example(newest_first[0], newest_first)
