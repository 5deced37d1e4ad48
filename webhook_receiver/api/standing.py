"""Where a version stood at an earlier time, out of its events and dispatches; for explain. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from steward.events import Event, EventType
from steward.journal.verdicts import DECISIONS, JUDGING

Rows = Mapping[str, list[Any]]
"""Dispatches by event, or attempts by dispatch: rows of the journal."""

NO_STAGE = "None"


def verdict_then(
    version: str, events: Iterable[Event], dispatches: Rows, at: datetime
) -> dict[str, Any] | None:
    """Its verdict as of then, in the form of the present one; None while nobody had judged it."""
    verdict: dict[str, Any] | None = None
    for event in events:
        if event.version != version or event.recorded_at > at:
            continue
        if event.type in DECISIONS or _is_by_hand(event):
            verdict = _decided(event)
        elif event.type in (EventType.VERSION_CREATED, EventType.VALIDATED):
            judging = [row for row in dispatches.get(event.id, []) if row.handler in JUDGING]
            if any(_is_open(row, at) for row in judging):
                verdict = _waiting(event)
    return verdict


def stage_then(version: str, events: Iterable[Event], at: datetime, *, now: str) -> str | None:
    """Its stage as of then; None before it was registered. ``now``: its stage at present.

    Before the first change that we know, it had the stage which that change left.
    """
    mine = sorted(
        (event for event in events if event.version == version), key=lambda each: each.occurred_at
    )
    created = next((each for each in mine if each.type == EventType.VERSION_CREATED), None)
    if created and created.occurred_at > at:
        return None
    moves = [each for each in mine if each.type == EventType.VERSION_TRANSITIONED]
    earlier = [each for each in moves if each.occurred_at <= at]
    if earlier:
        return str(earlier[-1].after or NO_STAGE)
    if moves:
        return str(moves[0].before or NO_STAGE)
    return now


def dispatch_then(row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """A dispatch, its attempts and effects as of then; what had not ended was still pending."""
    attempts = [each for each in row["attempts"] if each["ended_at"] <= at]
    effects = [each for each in row["effects"] if each["at"] is None or each["at"] <= at]
    told = {**row, "attempts": attempts, "effects": effects}
    if row["finished_at"] is None or row["finished_at"] > at:
        note = attempts[-1]["detail"] if attempts else "new"
        told |= {"state": "pending", "note": note, "finished_at": None, "tries": len(attempts)}
    return told


def _is_by_hand(event: Event) -> bool:
    return (
        event.type == EventType.CHAMPION_CHANGED
        and event.after is not None
        and event.seen_by == "poll"
    )


def _is_open(row: Any, at: datetime) -> bool:
    return row.state == "dead" or row.finished_at is None or row.finished_at > at


def _decided(event: Event) -> dict[str, Any]:
    by_hand = event.type == EventType.CHAMPION_CHANGED
    said = event.data.get("reasons") or [event.data.get("reason") or ""]
    return {
        "verdict": "promoted" if by_hand else DECISIONS[event.type],
        "reasons": ["made Production in the registry, not by Steward"] if by_hand else list(said),
        "code": "by_hand" if by_hand else str(event.data.get("code", "")),
        "event_id": event.id,
        "policy": event.data.get("policy"),
        "at": event.recorded_at,
    }


def _waiting(event: Event) -> dict[str, Any]:
    return {
        "verdict": "waiting",
        "reasons": ["being judged"],
        "code": "waiting",
        "event_id": event.id,
        "policy": None,
        "at": event.recorded_at,
    }
