"""What the policy leaves to people: ask, count what they said, or let a person have the last word.

Called by ``decisions`` with what the rules say. Pure.
"""

from collections.abc import Iterator
from decimal import Decimal

from handlers.approvals import Tally
from handlers.evidence import digest_of
from handlers.metrics import tell
from handlers.rulings import Decision, Facts, Kind, Ruling, hold
from steward.policy import Policy

_UNANSWERABLE = frozenset({"incomplete", "ambiguous"})
"""Holds for lack of the candidate's own evidence: the version is not ready to be judged."""


def fingerprint(compared: Decision, facts: Facts) -> str:
    """What the decision rests on, as the hash that an approval names."""
    champion, found = compared.champion, facts.on_holdout
    return digest_of(
        {**facts.identity, "version": compared.candidate.version},
        compared.candidate.metrics,
        (champion.version, champion.metrics) if champion else None,
        {
            "gain": _text(compared.gain),
            "required": _text(compared.required),
            "holdout": found.holdout.sha256 if found else None,
        },
    )


def _text(number: Decimal | None) -> str | None:
    return None if number is None else tell(number)


def answer(policy: Policy, compared: Decision, facts: Facts, tally: Tally, ruled: Ruling) -> Ruling:
    """What people say to what the rules say: promote, ask, or leave it."""
    kind, code, reasons = ruled
    request = facts.request
    if request and request.is_override:
        told = f"{request.actor} overrode what forbids it: {request.reason}"
        return "promote", "override", (told, *_overridden(facts), *reasons)
    is_open = kind == "promote" or (kind == "hold" and code not in _UNANSWERABLE)
    if is_open and (_asks(policy, kind, code) or (kind == "hold" and facts.said.asked)):
        return _by_approval(policy, compared, facts, tally, ruled)
    if is_open and request:
        because = f": {request.reason}" if request.reason else ""
        told = f"{request.actor} promoted it{because}"
        # By the rules too, it is a person's word that passes a freeze: it is written down.
        return "promote", "asked_for" if kind == "hold" else code, (told, *reasons)
    if kind == "hold" and _has_expired(compared, facts):
        return hold("approval_expired", "nobody answered in time", *reasons)
    if kind == "hold" and tally.void:
        return kind, code, (*reasons, *tally.void)
    return ruled


def _overridden(facts: Facts) -> Iterator[str]:
    if facts.said.rejected:
        yield f"it was rejected by {facts.said.rejected.tell()}"
    yield from (facts.request.passed_over if facts.request else ())


def _asks(policy: Policy, kind: Kind, code: str) -> bool:
    """Whether the policy leaves this ruling to people."""
    promote = policy.promote
    when = promote.approval.when
    if kind == "promote":
        return "always" in when or (code == "no_production" and "first_version" in when)
    return code in when or (code == "first_version" and promote.first_version == "approval")


def _has_expired(compared: Decision, facts: Facts) -> bool:
    expired = facts.said.expired
    return expired is not None and expired.data.get("evidence") == compared.evidence


def _by_approval(
    policy: Policy, compared: Decision, facts: Facts, tally: Tally, ruled: Ruling
) -> Ruling:
    """Promote with enough approvals, else ask; not a second time where nobody answered."""
    _, code, reasons = ruled
    rule = policy.promote.approval
    given = tuple(f"approved by {word.tell()}" for word in tally.valid)
    if len(tally.valid) >= rule.required:
        author = () if facts.author is None else (_tell_author(facts.author),)
        return "promote", "approved", (*given, *reasons, *author)
    if _has_expired(compared, facts):
        return hold("approval_expired", "nobody answered in time", *reasons)
    whom = ", ".join(policy.approvers) or "any approver"
    asks = f"{len(tally.valid)} of {rule.required} approvals are given; asked are: {whom}"
    author = () if facts.author is None else (_tell_author(facts.author),)
    return "ask", code, (*reasons, asks, *given, *tally.void, *author)


def _tell_author(author: str) -> str:
    return f"the author is {author}, as the run's tag mlflow.user claims (unverified)"
