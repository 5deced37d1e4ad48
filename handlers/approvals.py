"""What people have said about a version, read from its events; and whose word counts.

Called by ``promote``, ``validate``, ``annotate`` and the receiver. Pure. The journal is the truth;
an approval holds for the evidence and the policy that it was given on, and for no other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from steward.events import Event, EventType
from steward.policy import Policy

WORDS = (
    EventType.APPROVAL_REQUESTED,
    EventType.APPROVAL_APPROVED,
    EventType.APPROVAL_REJECTED,
    EventType.APPROVAL_EXPIRED,
    EventType.PROMOTED,
)
"""The events that :func:`read` reads."""
BY_TAG = "an unknown person, by tag"


@dataclass(frozen=True, slots=True)
class Word:
    """What one person said: who, when, why; ``evidence`` and ``policy`` are what it was about."""

    actor: str
    at: datetime
    reason: str = ""
    evidence: str = ""
    policy: str = ""
    is_by_tag: bool = False

    def tell(self) -> str:
        """Such as: approved by ada at 2026-03-01 12:00 UTC: looks good."""
        return f"{self.actor} at {self.at:%Y-%m-%d %H:%M} UTC" + (
            f": {self.reason}" if self.reason else ""
        )


@dataclass(frozen=True, slots=True)
class Said:
    """Everything said since the version was last promoted.

    ``asked``: a person's request; ``question``: Steward's own, which names the evidence; both until
    they are answered or expire. ``expired``: the question that nobody answered in time.
    """

    asked: Word | None = None
    question: Event | None = None
    approvals: tuple[Word, ...] = ()
    rejected: Word | None = None
    expired: Event | None = None


def read(events: Iterable[Event]) -> Said:
    """Fold a version's events, oldest first."""
    said = Said()
    for event in events:
        said = _heard(said, event)
    return said


def _heard(said: Said, event: Event) -> Said:
    if event.type == EventType.PROMOTED:
        return Said()
    if event.type == EventType.APPROVAL_EXPIRED:
        return Said(rejected=said.rejected, expired=event)
    if event.type == EventType.APPROVAL_APPROVED:
        return replace(said, approvals=(*said.approvals, word_of(event)))
    if event.type == EventType.APPROVAL_REJECTED:
        return replace(said, rejected=word_of(event))
    if is_question(event):
        return replace(said, question=event, expired=None)
    return replace(said, asked=word_of(event), expired=None)


def is_question(event: Event) -> bool:
    """Whether it is Steward that asks: only then are evidence and expiry known."""
    return "evidence" in event.data


def word_of(event: Event) -> Word:
    """What an event's person said."""
    data = event.data
    return Word(
        actor=str(data.get("actor") or BY_TAG),
        at=event.recorded_at,
        reason=str(data.get("reason") or ""),
        evidence=str(data.get("evidence") or ""),
        policy=str(data.get("policy") or ""),
        is_by_tag=bool(data.get("by_tag")),
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """The approvals that count, one a person, and a sentence for each that does not."""

    valid: tuple[Word, ...] = ()
    void: tuple[str, ...] = ()


def count(said: Said, policy: Policy, *, evidence: str, author: str | None) -> Tally:
    """Which approvals hold for this evidence, this policy and this author."""
    valid: dict[str, Word] = {}
    void: list[str] = []
    for word in said.approvals:
        why = _why_void(word, policy, evidence, author)
        if why:
            void.append(f"the approval of {word.actor} does not count: {why}")
        else:
            valid.setdefault(word.actor, word)
    return Tally(tuple(valid.values()), tuple(void))


def _why_void(word: Word, policy: Policy, evidence: str, author: str | None) -> str | None:
    if word.evidence != evidence:
        return "it was given on other evidence"
    if word.policy != policy.ref:
        return f"it was given under policy {word.policy or 'unknown'}"
    if word.is_by_tag:
        return None if policy.promote.approval.accept_tags else "approvals by tag are not accepted"
    return why_not(word.actor, policy, author)


def why_not(person: str, policy: Policy, author: str | None) -> str | None:
    """Why this person may not approve a version of this author; None when they may."""
    people = policy.approvers
    if people and person not in people:
        return f"the policy asks {', '.join(people)}"
    is_author = author is not None and person.casefold() == author.casefold()
    if is_author and not policy.promote.approval.author_may_approve:
        return f"{person} is the author (mlflow.user, unverified)"
    return None
