"""The tags of the approval workflow: what people set is heard, what stands is mirrored.

Called by ``validate`` (for tag events) and ``annotate``. Never believed: tags at creation, and
``approved`` unless the policy says ``accept_tags``.
"""

from collections.abc import Mapping

from handlers.approvals import Said, read
from handlers.verdicts import person_event
from steward.events import Event, EventType, ModelRef
from steward.policy import Mode
from steward.ports import Done, Outcome, Services, Skipped

STATUS = "approval_status"
KEYS = (
    "requested_by",
    "requested_at",
    "approval_reason",
    "approved_by",
    "approved_at",
    "approval_comment",
    "rejected_by",
    "rejected_at",
    "rejection_reason",
    STATUS,
)

CHANGED = frozenset({EventType.VERSION_TAG_SET, EventType.VERSION_TAG_DELETED})
"""News of a tag."""
DETAILS = frozenset(KEYS) - {STATUS}
"""Who asked and answered, when and why: lists of tags leave it out, for the journal tells it."""
_ENDED = frozenset({"promoted", "rolled_back"})
_OPEN = frozenset({"awaiting_approval", "waiting"})
"""Verdicts with which Steward's own question waits for an answer; a request waits with any."""
REWRITTEN = ("annotate",)
"""What is not believed does not stay to be read: the tag is brought back to what the journal
says."""


def is_heeded(event: Event, services: Services) -> bool:
    """Whether the event is a person's word by tag; not where the policy reads it as a gate."""
    is_gate = STATUS in services.policy.read_tags
    is_set = event.type == EventType.VERSION_TAG_SET and event.seen_by != "self"
    return is_set and event.data.get("key") == STATUS and not is_gate


def is_of_mirror(event: Event, services: Services) -> bool:
    """Whether somebody else changed a tag that mirrors the journal; not one that a gate reads."""
    key = str(event.data.get("key"))
    is_read = key in services.policy.read_tags
    return event.type in CHANGED and event.seen_by != "self" and key in KEYS and not is_read


def heed(event: Event, services: Services) -> Outcome:
    """Record what the tag says as what it is: the word of an unknown person."""
    model, version = event.model, event.version
    if model is None or version is None or services.mode == Mode.OBSERVE:
        return Skipped("mode observe: tags ask nothing")
    is_production = services.history.champions(model)[:1] == [version]
    if services.history.caused(event.id):
        return Skipped("heard already")
    if is_production:
        return Skipped(f"version {version} is Production", then=REWRITTEN)
    value = str(event.after)
    said = read(services.history.said(model, version))
    told: dict[str, str] | None = None
    kind = EventType.APPROVAL_REQUESTED
    if value == "pending":
        told = {}
    elif value == "rejected":
        kind, told = (
            EventType.APPROVAL_REJECTED,
            {"verdict": "rejected", "code": "rejected_by_person"},
        )
    elif value == "approved" and services.policy.promote.approval.accept_tags and said.question:
        kind = EventType.APPROVAL_APPROVED
        told = {key: said.question.data[key] for key in ("evidence", "policy")}
    if told is not None:
        return _say(kind, event, services, told)
    told_why = f"{STATUS}={value} by tag is no approval; the journal is the truth of them"
    return Skipped(told_why, then=REWRITTEN)


def _say(kind: EventType, event: Event, services: Services, told: Mapping[str, str]) -> Done:
    reason = f"the tag {STATUS} was set to {event.after} in the registry"
    said = {"by_tag": True, "reason": reason, "actor": None, **told}
    return Done(events=(person_event(kind, event, services, [reason], said),))


def mirror_of(
    model: ModelRef, version: str, verdict: str, services: Services
) -> dict[str, str | None]:
    """The tags as the journal has them, None to be removed; empty where nobody asks or said.

    A copy brings its source's tags along; where the policy asks people they go.
    """
    policy = services.policy
    told = services.history.said(model, version)
    while told and told[-1].type == EventType.PROMOTED:
        told.pop()  # it answered the question, which stays to be seen
    said = read(told)
    asks = policy.promote.first_version == "approval" or bool(policy.promote.approval.when)
    if not asks and said == Said():
        return {}
    tags = _told(said, verdict)
    return {key: tags.get(key) for key in KEYS if key not in policy.read_tags}


def _told(said: Said, verdict: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    if asked := said.asked:
        by = (asked.actor, asked.at.isoformat(), asked.reason)
        tags |= dict(zip(("requested_by", "requested_at", "approval_reason"), by, strict=True))
    elif question := said.question:
        why = "; ".join(map(str, question.data.get("reasons", ())))[:500]
        by = ("steward", question.recorded_at.isoformat(), why)
        tags |= dict(zip(("requested_by", "requested_at", "approval_reason"), by, strict=True))
    if said.approvals:
        last = said.approvals[-1]
        tags["approved_by"] = ", ".join(dict.fromkeys(word.actor for word in said.approvals))
        tags |= {"approved_at": last.at.isoformat(), "approval_comment": last.reason}
    if no := said.rejected:
        by = (no.actor, no.at.isoformat(), no.reason)
        tags |= dict(zip(("rejected_by", "rejected_at", "rejection_reason"), by, strict=True))
        tags[STATUS] = "rejected"
    elif verdict in _ENDED:
        tags[STATUS] = "approved" if said.approvals else ""
    elif said.asked or (said.question and verdict in _OPEN):
        tags[STATUS] = "pending"
    return {key: value for key, value in tags.items() if value}
