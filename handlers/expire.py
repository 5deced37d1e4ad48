"""End a question that nobody answered in time; for ``approval.requested``."""

from datetime import datetime

from handlers.approvals import is_question, read
from handlers.verdicts import person_event
from steward.events import Event, EventType
from steward.ports import Done, Outcome, Services, Skipped, Wait

LOOK_EVERY_SECONDS = 3600.0


def expire(event: Event, services: Services) -> Outcome:
    """Wait until the question expires; say so if it is still the one that stands."""
    if event.model is None or event.version is None or not is_question(event):
        return Skipped("a person's request: Steward's question follows it")
    question = read(services.history.said(event.model, event.version)).question
    if question is None or question.id != event.id:
        return Skipped("it was answered, or a later question took its place")
    standing = services.history.verdict(event.model, event.version)
    if standing is None or standing.verdict not in ("awaiting_approval", "waiting"):
        return Skipped("it was answered")
    until = datetime.fromisoformat(event.data["expires_at"])
    if services.clock.now() < until:
        reason = f"waiting for approval until {until:%Y-%m-%d %H:%M} UTC"
        return Wait(until, reason, check_seconds=LOOK_EVERY_SECONDS)
    reasons = ["nobody answered in time", *event.data.get("reasons", ())]
    told = {"evidence": event.data["evidence"], "code": "approval_expired", "verdict": "held"}
    return Done(events=(person_event(EventType.APPROVAL_EXPIRED, event, services, reasons, told),))
