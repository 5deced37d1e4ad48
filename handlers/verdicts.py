"""The events that carry a verdict: held, rejected, promoted, with numbers, reasons, what to do.

Called by ``validate`` and ``promote``. The keys of ``data`` are read by ``notify``, the API and the
CLI: verdict, code, reasons, metric, candidate, champion, margin, gain, policy, mode, next.
"""

import shlex
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from handlers.metrics import Found, tell
from handlers.rulings import Decision, Measured
from steward.events import Event, EventType, NewEvent
from steward.ports import Services

_VERDICTS = {
    EventType.HELD: "held",
    EventType.REJECTED: "rejected",
    EventType.PROMOTED: "promoted",
    EventType.APPROVAL_REQUESTED: "awaiting_approval",
}
PRODUCTION_GATES = "production_gates"
"""The key of the gates of Production; ``gates`` are those that a validation judged."""
SEMANTIC_VERSION = "semantic_version"
"""The key of the number that a promotion gave, and the tag that tells it."""
_ANSWER = "steward approve {model} {version}, or: steward reject {model} {version} --reason REASON"
_REPLAY = "When the cause is gone: steward events replay {event}."
_BY_HAND = "To promote it all the same: steward promote {model} {version}"
_NEXT = {
    "incomplete": "Add what is missing: the version is then judged again.",
    "ambiguous": "Say in the policy which value counts: `dataset`, or `if_several: latest`.",
    "production_unclear": "Put that line into the policy, then: steward events replay {event}.",
    "two_in_production": "Leave one version in Production, then: steward events replay {event}.",
    "champion_metric_missing": "Log it for Production, then: steward events replay {event}.",
    "champion_metric_ambiguous": _REPLAY,
    "champion_metric_invalid": _REPLAY,
    "gate_failed": "Set right what failed: the version is then judged again.",
    "not_servable": _REPLAY,
    "check_incomplete": _REPLAY,
    "not_comparable": _REPLAY,
    "inconclusive": _BY_HAND,
    "not_ready": _REPLAY,
    "first_version": "To make it the first Production: steward promote {model} {version}",
    "approval_expired": "To ask again: steward request-approval {model} {version}",
    "rejected_by_person": "Only an override promotes it: steward promote --help",
    "no_rule": _BY_HAND,
    "rolled_back_from": _BY_HAND,
    "older_than_production": _BY_HAND,
    "recommend": "Give it {place} in MLflow, or set `mode: act` in the policy.",
    "beats_production": "To go back: steward rollback {model}",
}


def verdict_event(
    kind: EventType,
    event: Event,
    services: Services,
    decision: Decision,
    extra: Mapping[str, Any] | None = None,
) -> NewEvent:
    """The event that records a decision on the version that ``event`` is about."""
    return NewEvent(
        kind,
        model=event.model,
        version=event.version,
        data={
            "verdict": _VERDICTS[kind],
            "code": decision.code,
            "reasons": list(decision.reasons),
            "metric": decision.metric,
            "candidate": _score(decision.candidate, decision.metric),
            "champion": _score(decision.champion, decision.metric),
            "margin": _number(decision.required),
            "gain": _number(decision.gain),
            "policy": services.policy.ref,
            "mode": str(services.mode),
            "next": _next(
                _ANSWER if kind == EventType.APPROVAL_REQUESTED else _NEXT.get(decision.code),
                event,
                services,
            ),
            **_judged_last(decision),
            **({"comparison": decision.on_holdout.as_dict()} if decision.on_holdout else {}),
            **(extra or {}),
        },
    )


def _judged_last(decision: Decision) -> dict[str, Any]:
    gates = [gate.as_dict() for gate in decision.gates if gate.stage == "Production"]
    return {
        **({PRODUCTION_GATES: gates} if gates else {}),
        **({SEMANTIC_VERSION: decision.semantic_version} if decision.semantic_version else {}),
    }


def person_event(
    kind: EventType,
    event: Event,
    services: Services,
    reasons: list[str],
    told: Mapping[str, Any],
) -> NewEvent:
    """The event that records what a person said by tag, or that nobody answered."""
    return NewEvent(
        kind,
        model=event.model,
        version=event.version,
        data={
            "reasons": reasons,
            "policy": services.policy.ref,
            "mode": str(services.mode),
            "next": _next(_NEXT.get(str(told.get("code", ""))), event, services),
            **told,
        },
    )


def place(services: Services) -> str:
    """Where the policy looks for Production, as a person would say it: stage Production."""
    rule = services.policy.production
    return f"stage {rule.stage}" if rule.stage else f"alias {rule.alias}"


def found_metric(found: Found) -> dict[str, Any]:
    """A metric's value as events keep it; numbers are text, so that none loses a digit."""
    return {
        "name": found.name,
        "value": tell(found.value),
        "dataset": found.dataset,
        "origin": found.origin,
        "subject": found.subject_id,
        **({"digest": found.dataset_digest} if found.dataset_digest else {}),
    }


def _score(side: Measured | None, metric: str | None) -> dict[str, Any] | None:
    if side is None:
        return None
    found = side.of(metric) if metric else None
    if isinstance(found, Found):
        return {"version": side.version, **found_metric(found)}
    return {"version": side.version, "value": None}


def _number(value: Decimal | None) -> str | None:
    return None if value is None else tell(value)


def _next(sentence: str | None, event: Event, services: Services) -> list[str]:
    if not sentence:
        return []
    model = shlex.quote(event.model.name) if event.model else ""
    named = {"event": event.id, "model": model, "version": event.version}
    return [sentence.format(place=place(services), **named)]
