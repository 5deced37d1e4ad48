"""None, Staging, Production: what ``stages`` of the policy asks at each step.

Called by ``promote``, in the lane of Production, so that no move to Staging can undo a promotion.
``validate`` has judged the gates of Staging by then.
"""

from dataclasses import replace
from datetime import timedelta

from handlers.decisions import is_older
from handlers.gates import judge_production, measure, stopped
from handlers.production import Production
from handlers.rulings import Decision
from handlers.verdicts import verdict_event
from steward.events import Event, EventType
from steward.policy import Mode
from steward.ports import Done, Intent, Outcome, Services, Wait

STAGING = "Staging"
_OPEN = ("promote", "ask")


def enter_staging(services: Services, found: Production, decision: Decision) -> None:
    """Move a version that is in no stage yet to Staging, where the policy has that step.

    Never one that was rejected, nor one that is older than Production.
    """
    version = decision.candidate.version
    if services.policy.stages.staging is None or services.mode != Mode.ACT:
        return
    is_out = decision.kind in ("reject", "nothing") or is_older(version, found.version or "")
    if is_out or found.versions[version].stage != "None":
        return
    services.ledger.intend([Intent(found.model, version, "stage", STAGING)])
    services.registry.set_stage(found.model, version, STAGING, archive_existing=False)


def at_production(services: Services, found: Production, decision: Decision) -> Decision:
    """The decision with the gates of Production, where it leads there, by itself or by people.

    They are judged on the registry as it is now. An override passes them.
    """
    rules, policy = services.policy.stages.production, services.policy
    if rules is None or decision.kind not in _OPEN or decision.code == "override":
        return decision
    info = found.versions[decision.candidate.version]
    evidence = services.registry.evidence(info, with_signature=rules.signature)
    metrics = measure(policy, evidence, info)
    return replace(decision, gates=judge_production(policy, info, evidence, metrics))


def hold_back(
    event: Event, services: Services, found: Production, decision: Decision
) -> Outcome | None:
    """What becomes of a version that the gates of Production stop; None when they let it pass."""
    policy, info = services.policy, found.versions[decision.candidate.version]
    deadline = info.created_at + timedelta(seconds=policy.wait_seconds)
    is_late = services.clock.now() >= deadline
    stop = stopped(decision.gates, on_missing=policy.on_missing, is_late=is_late)
    if stop is None:
        return None
    if stop.kind == "wait":
        reason = f"waiting for {stop.waits_for} until {deadline:%H:%M} UTC"
        return Wait(deadline, reason, then=() if services.mode == Mode.OBSERVE else ("annotate",))
    reasons = (*stop.reasons, *decision.reasons)
    held = replace(decision, kind=stop.kind, code=stop.code, reasons=reasons)
    kind = EventType.HELD if stop.kind == "hold" else EventType.REJECTED
    return Done(events=(verdict_event(kind, event, services, held),))
