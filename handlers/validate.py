"""Judge a version by its gates: on what the registry holds now, waiting for what is not there yet.

Runs for ``model_version.created``, and again when evidence of a held or rejected version changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from handlers import production
from handlers.approval_tags import REWRITTEN, heed, is_heeded, is_of_mirror
from handlers.examined import Examination
from handlers.gates import Gate, judge, measure, stopped
from handlers.metrics import Found, Lookup
from handlers.record import found_more, found_record, lineage_record
from handlers.rejudging import why_not_again
from handlers.rulings import Decision, Measured
from handlers.verdicts import found_metric, verdict_event
from handlers.waiting import wait_for
from steward.errors import NotFoundError
from steward.events import Event, EventType, ModelRef, NewEvent
from steward.policy import Policy
from steward.ports import Done, Evidence, Outcome, Services, Skipped, VersionInfo

NOT_PASSED = ("fail", "error")
"""How a check ends that stops a version."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A version and what its evidence came to; ``report``: the address of the page about it."""

    version: VersionInfo
    gates: tuple[Gate, ...]
    metrics: Mapping[str, Lookup]
    evidence: Evidence
    report: str | None = None


def validate(event: Event, services: Services) -> Outcome:
    """Look, judge, and say so; or wait for what may still come."""
    model, number, policy = event.model, event.version, services.policy
    if model is None or number is None:
        return Skipped("the event names no version")
    if policy.name == "none":
        return Skipped(f"no policy governs {model}")
    if is_heeded(event, services):
        return heed(event, services)
    if is_of_mirror(event, services):
        return Skipped("the journal is the truth of approvals", then=REWRITTEN)
    return _judge(event, services, model, number)


def _judge(event: Event, services: Services, model: ModelRef, number: str) -> Outcome:
    if idle := why_not_again(event, model, number, services):
        return Skipped(idle)
    try:
        version = services.registry.version(model, number)
    except NotFoundError:
        return Skipped("the version was deleted")
    policy = services.policy
    deadline = _deadline(event, version, policy)
    if version.status != "READY":
        return _not_ready(event, services, version, deadline)

    asks_signature = any(gates.signature for gates in policy.to_be_judged)
    evidence = services.registry.evidence(version, with_signature=asks_signature)
    metrics = measure(policy, evidence, version)
    gates = judge(policy, version, evidence, metrics)
    return _conclude(event, services, Judged(version, gates, metrics, evidence), deadline)


def _conclude(event: Event, services: Services, judged: Judged, deadline: datetime) -> Outcome:
    """The gates first, then the checks that load the model; an override passes over both."""
    if not _is_override(event) and (ended := _by_gates(event, services, judged, deadline)):
        return ended
    if services.policy.checks is None:
        return Done(events=(_validated(event, services, judged, None),))
    return _examined(event, services, judged)


def _is_override(event: Event) -> bool:
    return event.type == EventType.PROMOTION_REQUESTED and bool(event.data.get("override"))


def _by_gates(
    event: Event, services: Services, judged: Judged, deadline: datetime
) -> Outcome | None:
    """What becomes of it by its gates; None when they let it pass."""
    policy = services.policy
    is_late = services.clock.now() >= deadline
    stop = stopped(judged.gates, on_missing=policy.on_missing, is_late=is_late)
    if stop is None:
        return None
    if stop.kind == "wait":
        return wait_for(stop.waits_for, deadline, services)
    kind = EventType.HELD if stop.kind == "hold" else EventType.REJECTED
    return _ended(kind, stop.code, stop.because, event, services, judged=judged)


def _examined(event: Event, services: Services, judged: Judged) -> Outcome:
    """What failed rejects; what could not be checked holds: missing data is never a pass."""
    from handlers.examination import examine  # numbers: 2 s to import
    from handlers.findings import is_kept, keep

    version, run_id = judged.version, judged.evidence.lineage.get("run_id")
    champion = _champion(services, version)
    found = examine(services, version, run_id, champion, is_drawn=is_kept(services))
    judged = replace(judged, report=keep(services, version, found))
    if _is_override(event):
        return Done(events=(_validated(event, services, judged, found),))
    for status, kind, code in (
        ("fail", EventType.REJECTED, "check_failed"),
        ("error", EventType.HELD, "check_incomplete"),
    ):
        if results := found.having(status):
            gates = [
                Gate(f"check {result.name}", "fail", f"{result.name}: {result.detail}", code)
                for result in results
            ]
            return _ended(kind, code, gates, event, services, judged=judged, found=found)
    return Done(events=(_validated(event, services, judged, found),))


def _champion(services: Services, candidate: VersionInfo) -> VersionInfo | None:
    """Production's version as it is now, unless it is this one."""
    held = production.read(services, candidate.model)
    if held.version is None or held.version == candidate.version:
        return None
    return held.versions.get(held.version)


def _deadline(event: Event, version: VersionInfo, policy: Policy) -> datetime:
    """Counted from the registration, so that news and replays never begin a new wait."""
    is_created = event.type == EventType.VERSION_CREATED
    since = event.occurred_at if is_created else version.created_at
    return since + timedelta(seconds=policy.wait_seconds)


def _not_ready(
    event: Event, services: Services, version: VersionInfo, deadline: datetime
) -> Outcome:
    """The registry is still copying the model, or gave up."""
    if version.status.startswith("PENDING") and services.clock.now() < deadline:
        return wait_for("the registry to finish the registration", deadline, services)
    gate = Gate("status", "missing", f"the registry says {version.status}")
    judged = Judged(version, (gate,), {}, Evidence())
    return _ended(EventType.HELD, "not_ready", [gate], event, services, judged=judged)


def _ended(
    kind: EventType,
    code: str,
    because: list[Gate],
    event: Event,
    services: Services,
    *,
    judged: Judged,
    found: Examination | None = None,
) -> Done:
    """The version ends here; Production was not looked at."""
    when = services.policy.promote.when
    decision = Decision(
        "hold" if kind == EventType.HELD else "reject",
        code,
        tuple(gate.detail for gate in because),
        Measured(judged.version.version, judged.metrics),
        metric=when.metric if when else next(iter(services.policy.require.metrics), None),
        gates=tuple(because),
    )
    told = {**_looked_at(judged, found), **(found.as_data() if found else {})}
    return Done(events=(verdict_event(kind, event, services, decision, told),))


def _validated(
    event: Event, services: Services, judged: Judged, examination: Examination | None
) -> NewEvent:
    return NewEvent(
        EventType.VALIDATED,
        model=event.model,
        version=event.version,
        data={
            **_looked_at(judged, examination),
            "policy": services.policy.ref,
            "mode": str(services.mode),
            "passed_over": _passed_over(judged, examination),
            **(examination.as_data() if examination else {}),
        },
    )


def _passed_over(judged: Judged, examination: Examination | None) -> list[str]:
    """What did not hold and stopped nothing, since a person overrode it."""
    gates = [gate.detail for gate in judged.gates if gate.status != "pass"]
    results = examination.results if examination else ()
    return gates + [f"{one.name}: {one.detail}" for one in results if one.status in NOT_PASSED]


def _looked_at(judged: Judged, examination: Examination | None) -> dict[str, Any]:
    """What the judgement looked at, as its event keeps it, however it ended."""
    version, evidence = judged.version, judged.evidence
    made_with = examination.made_with if examination else {}
    return {
        "gates": [gate.as_dict() for gate in judged.gates],
        "metrics": {
            name: found_metric(value)
            for name, value in judged.metrics.items()
            if isinstance(value, Found)
        },
        "found": found_record(evidence, judged.metrics),
        "found_more": found_more(evidence),
        "run_id": version.run_id,
        "lineage": lineage_record(evidence, version.tags, made_with),
        **({"report": judged.report} if judged.report else {}),
    }
