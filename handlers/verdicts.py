"""The events that carry a verdict: held, rejected, promoted, with numbers, reasons, what to do.

Called by ``validate`` and ``promote``. The keys of ``data`` are read by ``notify``, the API and the
CLI: verdict, code, reasons, metric, candidate, champion, margin, gain, policy, mode, next; where
it rests on an examination also comparison, measured and report.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from handlers import next_steps
from handlers.measured import measured_metrics
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
            "next": _next(kind, event, services, decision),
            **_judged_last(decision),
            **_of_validation(event),
            **({"comparison": decision.on_holdout.as_dict()} if decision.on_holdout else {}),
            **(extra or {}),
        },
    )


def _of_validation(event: Event) -> dict[str, Any]:
    """What its readers need of the validation that it rests on: its report, what it measured."""
    if event.type != EventType.VALIDATED:
        return {}
    told = {"report": event.data.get("report"), "measured": measured_metrics(event.data)}
    return {key: value for key, value in told.items() if value}


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
            "next": next_steps.after(str(told.get("code", "")), event, services.policy),
            **told,
        },
    )


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


def _next(kind: EventType, event: Event, services: Services, decision: Decision) -> list[str]:
    if kind == EventType.APPROVAL_REQUESTED:
        return next_steps.to_answer(event, services.policy)
    cause = next(iter(services.history.chain(event.id)[1:2]), None)
    gates = decision.gates
    return next_steps.after(decision.code, event, services.policy, gates=gates, cause=cause)
