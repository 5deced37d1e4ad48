"""Says each event in one sentence, for the causal chain that `explain` tells."""

from collections.abc import Callable, Mapping
from typing import Any

from steward.events import Event, EventType

_SEEN = {
    "webhook": "told by a webhook",
    "poll": "found in the registry",
    "both": "told by a webhook and found in the registry",
}


def sentence_of(event: Event) -> str:
    """What became true, in words."""
    say = _SENTENCES.get(event.type)
    text = say(event) if say else f"{event.type} {event.version or ''}".strip()
    seen = _SEEN.get(event.seen_by)
    return f"{text} ({seen})." if seen else f"{text}."


def _because(event: Event) -> str:
    reasons = event.data.get("reasons") or [event.data.get("reason")]
    told = "; ".join(str(reason).rstrip(".") for reason in reasons if reason)
    return f": {told}" if told else ""


def _key(event: Event) -> str:
    return str(event.data.get("key") or event.data.get("alias") or "?")


def _actor(event: Event) -> str:
    actor, reason = event.data.get("actor") or "somebody", event.data.get("reason")
    return f"by {actor}" + (f": {reason}" if reason else "")


def _approval_requested(event: Event) -> str:
    if "evidence" not in event.data:
        return f"Approval of version {event.version} was asked for {_actor(event)}"
    return f"Version {event.version} waits for approval{_because(event)}"


def _champion(event: Event) -> str:
    before = f" instead of version {event.before}" if event.before is not None else ""
    if event.after is None:
        return f"No version is Production any more{before}"
    return f"Version {event.after} became Production{before}"


def _rollout_failed(event: Event) -> str:
    reason = event.data.get("reason") or _failures(event.data)
    return f"Not every replica serves version {event.version}" + (f": {reason}" if reason else "")


def _violated(event: Event) -> str:
    detail = str(event.data.get("detail") or "").rstrip(".")
    return "The policy was violated" + (f": {detail}" if detail else _because(event))


def _failures(data: Mapping[str, Any]) -> str:
    replicas = data.get("replicas") or data.get("failed") or []
    if not isinstance(replicas, list):
        return ""
    told = [
        f"{each.get('replica') or each.get('id')}: {each.get('error')}"
        for each in replicas
        if isinstance(each, dict) and each.get("error")
    ]
    return "; ".join(told)


_SENTENCES: dict[str, Callable[[Event], str]] = {
    EventType.MODEL_CREATED: lambda event: f"The model {event.model} was registered",
    EventType.MODEL_DELETED: lambda event: f"The model {event.model} was deleted",
    EventType.MODEL_RENAMED: lambda event: f"The model {event.before} is called {event.after} now",
    EventType.VERSION_CREATED: lambda event: f"Version {event.version} was registered",
    EventType.VERSION_DELETED: lambda event: f"Version {event.version} was deleted",
    EventType.VERSION_UPDATED: lambda event: f"The description of version {event.version} changed",
    EventType.VERSION_TRANSITIONED: lambda event: (
        f"Version {event.version} went from stage {event.before} to {event.after}"
    ),
    EventType.VERSION_METRICS_LOGGED: lambda event: (
        f"Metrics of version {event.version} were logged"
    ),
    EventType.VERSION_TAG_SET: lambda event: (
        f"Tag {_key(event)} of version {event.version} became {event.after}"
    ),
    EventType.VERSION_TAG_DELETED: lambda event: (
        f"Tag {_key(event)} of version {event.version} was removed"
    ),
    EventType.ALIAS_CREATED: lambda event: (
        f"Alias {_key(event)} was pointed at version {event.after}"
        + (f" instead of {event.before}" if event.before is not None else "")
    ),
    EventType.ALIAS_DELETED: lambda event: (
        f"Alias {_key(event)} was removed from version {event.before}"
    ),
    EventType.CHAMPION_CHANGED: _champion,
    EventType.VALIDATED: lambda event: (
        f"Version {event.version} passed every gate{_because(event)}"
    ),
    EventType.REJECTED: lambda event: f"Version {event.version} was rejected{_because(event)}",
    EventType.HELD: lambda event: f"Version {event.version} was held{_because(event)}",
    EventType.PROMOTION_REQUESTED: lambda event: (
        f"Promotion of version {event.version} was asked for "
        + ("against what forbids it, " if event.data.get("override") else "")
        + _actor(event)
    ),
    EventType.APPROVAL_REQUESTED: _approval_requested,
    EventType.APPROVAL_APPROVED: lambda event: (
        f"Version {event.version} was approved {_actor(event)}"
    ),
    EventType.APPROVAL_REJECTED: lambda event: (
        f"Version {event.version} was rejected {_actor(event)}"
    ),
    EventType.APPROVAL_EXPIRED: lambda event: f"Nobody approved version {event.version} in time",
    EventType.PROMOTED: lambda event: f"Version {event.version} was promoted{_because(event)}",
    EventType.ROLLBACK_REQUESTED: lambda event: f"A rollback was asked for {_actor(event)}",
    EventType.ROLLED_BACK: lambda event: (
        f"Production was rolled back from version {event.version}{_because(event)}"
    ),
    EventType.ROLLOUT_STARTED: lambda event: (
        f"Replicas were to serve version {event.after}, generation {event.data.get('generation')}"
    ),
    EventType.ROLLOUT_FINISHED: lambda event: f"Every live replica serves version {event.version}",
    EventType.ROLLOUT_FAILED: _rollout_failed,
    EventType.POLICY_VIOLATED: _violated,
    EventType.AUTOMATION_PAUSED: lambda event: f"Automation was paused {_actor(event)}",
    EventType.AUTOMATION_RESUMED: lambda event: f"Automation was resumed {_actor(event)}",
    EventType.DISPATCH_DIED: lambda event: (
        f"The handler {event.data.get('handler')} gave up: "
        f"{str(event.data.get('error', '')).rstrip('.')}"
    ),
}
