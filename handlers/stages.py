"""None, Staging, Production: what the policy's ``stages`` ask at each step.

Called by ``promote``, in the lane of Production, so that no move to Staging undoes a promotion.
"""

from dataclasses import replace
from datetime import timedelta

from handlers.decisions import is_older
from handlers.gates import stopped
from handlers.production import Production
from handlers.rulings import Decision
from handlers.verdicts import verdict_event
from handlers.waiting import wait_for
from steward.events import Event, EventType
from steward.policy import Mode
from steward.ports import Done, Intent, Outcome, Services

STAGING = "Staging"
CHECK_SECONDS = 900.0
"""Between looks of a version that waits for a gate: news of it wakes it at once."""
_OPEN = ("promote", "ask")
_BY_PERSON = "override"


def hold_back(
    event: Event, services: Services, found: Production, decision: Decision
) -> Outcome | None:
    """What becomes of a version that a gate stops on its way to Production; None if none does.

    All gates are judged again: while a version waited, one that held may hold no more.
    """
    if decision.kind not in _OPEN or decision.code == _BY_PERSON:
        return None
    policy, info = services.policy, found.versions[decision.candidate.version]
    deadline = info.created_at + timedelta(seconds=policy.wait_seconds)
    is_late = services.clock.now() >= deadline
    stop = stopped(decision.gates, on_missing=policy.on_missing, is_late=is_late)
    if stop is None:
        return None
    if stop.kind == "wait":
        return wait_for(stop.waits_for, deadline, services, check_seconds=CHECK_SECONDS)
    reasons = (*stop.reasons, *decision.reasons)
    held = replace(decision, kind=stop.kind, code=stop.code, reasons=reasons)
    kind = EventType.HELD if stop.kind == "hold" else EventType.REJECTED
    return Done(events=(verdict_event(kind, event, services, held),))


def enter_staging(
    services: Services, found: Production, decision: Decision, stopped_by: Outcome | None
) -> None:
    """Move a version that is in no stage to Staging, where the policy has that step.

    Never one that is or was rejected, is older than Production, or was rolled back from.
    """
    version, model = decision.candidate.version, found.model
    if services.policy.stages.staging is None or services.mode != Mode.ACT:
        return
    is_out = decision.kind in ("reject", "nothing") or is_older(version, found.version or "")
    if is_out or _is_rejected(stopped_by) or version in services.history.rolled_back_from(model):
        return
    # Weighing may take minutes; what people did meanwhile must stand.
    if services.registry.version(model, version).stage != "None":
        return
    services.ledger.intend([Intent(model, version, "stage", STAGING)])
    services.registry.set_stage(model, version, STAGING, archive_existing=False)


def _is_rejected(outcome: Outcome | None) -> bool:
    events = outcome.events if isinstance(outcome, Done) else ()
    return any(event.type == EventType.REJECTED for event in events)
