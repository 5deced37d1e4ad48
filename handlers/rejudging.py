"""Whether an event leads to a judgement of its version; a registration always does.

Called by ``validate``.
"""

from handlers.approval_tags import CHANGED
from handlers.approvals import is_question
from handlers.gates import read_tags
from steward.events import Event, EventType, ModelRef
from steward.ports import Services

JUDGED_AGAIN = frozenset({"held", "rejected", "awaiting_approval"})
ASKED = frozenset(
    {
        EventType.PROMOTION_REQUESTED,
        EventType.APPROVAL_REQUESTED,
        EventType.APPROVAL_APPROVED,
    }
)
"""What people say that leads to a judgement, wherever the version stands."""


def why_not_again(event: Event, model: ModelRef, number: str, services: Services) -> str | None:
    """Why the version is not judged for this event; None when it is."""
    if event.type == EventType.VERSION_CREATED:
        return None
    if event.type in ASKED:
        return _why_not_for_a_person(event, model, number, services)
    return _why_no_evidence(event, services) or _where_it_stands(model, number, services)


def _why_not_for_a_person(
    event: Event, model: ModelRef, number: str, services: Services
) -> str | None:
    """Why what a person said leads to no judgement."""
    if event.type == EventType.APPROVAL_REQUESTED and is_question(event):
        return "Steward's own question"
    is_override = bool(event.data.get("override"))
    if number in services.history.rejected_by_person(model) and not is_override:
        return "a person rejected the version; only an override promotes it"
    return None


def _why_no_evidence(event: Event, services: Services) -> str | None:
    """Why news of a version is no evidence; None when it may be."""
    if event.seen_by == "self":
        return "Steward's own change"
    key = str(event.data.get("key", ""))
    if event.type in CHANGED and key not in read_tags(services.policy):
        return f"no rule reads the tag {key}"
    reads_description = any(gates.description for gates in services.policy.all_gates)
    if event.type == EventType.VERSION_UPDATED and not reads_description:
        return "no rule reads the description"
    return None


def _where_it_stands(model: ModelRef, number: str, services: Services) -> str | None:
    """Why a version is not judged again, whatever the news; None when it is."""
    standing = services.history.verdict(model, number)
    if standing is None:
        return "not judged yet, or registered before Steward watched"
    if standing.verdict not in JUDGED_AGAIN:
        return f"the version is {standing.verdict}"
    if number in services.history.rejected_by_person(model):
        return "a person rejected the version"
    return None
