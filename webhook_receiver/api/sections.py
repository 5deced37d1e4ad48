"""The account of one version by subject: registered, waited, checked ... undone. Pure.

`explain` hands over the steps of the causal chain, dispatches and attempts among them; a section
that has nothing to tell is null or an empty list. Keys of events' data are read leniently, so that
events of any age are told.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from handlers.approvals import is_question
from steward.events import Event, EventType
from webhook_receiver.api.sections_of_judgement import (
    DECIDED,
    checks,
    compared,
    decided,
    dicts,
    gone_back_to,
    not_used,
    report,
)
from webhook_receiver.api.sections_of_production import Step, promoted, undo

_JUDGED = (EventType.VALIDATED, EventType.HELD, EventType.REJECTED)
_ROLLOUTS = (EventType.ROLLOUT_FINISHED, EventType.ROLLOUT_FAILED)
_APPROVAL = "approval."
_AFTERWARDS = ("annotate", "notify")
"""Handlers that wait for what the others decide: nobody waits for them."""


def sections_of(version: str, events: Sequence[Event], steps: Sequence[Step]) -> dict[str, Any]:
    """Everything that can be told of a version by subject, as of the newest of these events."""
    mine = [event for event in events if event.version == version]
    judgement = _newest(mine, _JUDGED, having="gates")
    decision = _newest(mine, DECIDED)
    return {
        "registered": _registered(mine),
        "waited": list(_waited(version, steps)),
        "checks": checks(judgement, decision),
        "report": report(judgement),
        "compared": compared(version, mine),
        "decided": decided(gone_back_to(version, events) or decision, decision),
        "approved": [_approval(event) for event in mine if event.type.startswith(_APPROVAL)],
        "promoted": promoted(version, events, steps),
        "rollout": _rollout(mine),
        "told": list(_told(version, steps)),
        "not_used": not_used(judgement, decision),
        "undo": undo(version, events),
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
            for row in dicts(ended.data.get("replicas"))
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
