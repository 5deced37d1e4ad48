"""Promote, hold or reject: a version against Production, by the policy, with the reasons.

Called by ``promote`` and by a back-test. Pure: numbers are exact decimals of nine places, so that
0.82 beats 0.80 by a margin of 0.02.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from handlers import by_holdout
from handlers.approvals import Said, Tally, Word, count
from handlers.by_holdout import on_the_same_rows
from handlers.evidence import digest_of
from handlers.examined import OnHoldout, is_by_holdout
from handlers.metrics import Ambiguous, Found, Invalid, Lookup, Missing, tell
from handlers.production import Production
from steward.policy import Policy
from steward.policy.model import When

Kind = Literal["promote", "hold", "ask", "reject", "nothing"]
_UNANSWERABLE = frozenset({"incomplete", "ambiguous"})
"""Holds for lack of the candidate's own evidence: the version is not ready to be judged."""
_NOT_LOGGED: Lookup = Missing("no value was looked for")


@dataclass(frozen=True, slots=True)
class Measured:
    """One side of the comparison: a version, and its metrics by the policy's names for them."""

    version: str
    metrics: Mapping[str, Lookup] = field(default_factory=dict)

    def of(self, metric: str) -> Lookup:
        """What was found for a metric."""
        return self.metrics.get(metric, _NOT_LOGGED)


@dataclass(frozen=True, slots=True)
class Request:
    """A person's ``steward promote``; an override also passes a rejection and failed gates.

    ``passed_over`` are the gates that failed, in sentences.
    """

    actor: str
    reason: str = ""
    is_override: bool = False
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What else a decision rests on.

    ``on_holdout``: both scored on the same rows, None where they were not; ``holdout_problem`` why.
    ``said``: what people said of the version; ``author``: whom its run names, unverified;
    ``identity``: what tells this version from another of the same number.
    """

    production: Production
    rejected_by_person: frozenset[str] = frozenset()
    rolled_back_from: frozenset[str] = frozenset()
    on_holdout: OnHoldout | None = None
    holdout_problem: str = ""
    said: Said = field(default_factory=Said)
    author: str | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done and why. ``gain`` is positive when the candidate is better.

    ``metric`` is the policy's name; ``required`` the gain that the policy asks for, also where it
    says it relative to Production.
    """

    kind: Kind
    code: str
    reasons: tuple[str, ...]
    candidate: Measured
    champion: Measured | None = None
    metric: str | None = None
    gain: Decimal | None = None
    required: Decimal | None = None
    evidence: str = ""
    approvals: tuple[Word, ...] = ()
    author: str | None = None


Ruling = tuple[Kind, str, tuple[str, ...]]


def decide(
    policy: Policy, candidate: Measured, champion: Measured | None, facts: Facts
) -> Decision:
    """Judge a version that passed its gates. ``champion`` is Production, None if there is none.

    The first rule that has an answer decides.
    """
    found = facts.on_holdout
    if found is not None and champion is not None and found.champion == champion.version:
        candidate = on_the_same_rows(policy, candidate, found.comparison.candidate, found)
        champion = on_the_same_rows(policy, champion, found.comparison.champion, found)
    compared = _compare(policy, candidate, champion)
    compared = replace(compared, evidence=_fingerprint(compared, facts))
    tally = count(facts.said, policy, evidence=compared.evidence, author=facts.author)
    ruling = _closed(candidate.version, facts) or _answered(policy, compared, facts, tally)
    kind, code, reasons = ruling
    return replace(
        compared, kind=kind, code=code, reasons=reasons, approvals=tally.valid, author=facts.author
    )


def _fingerprint(compared: Decision, facts: Facts) -> str:
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


def _answered(policy: Policy, compared: Decision, facts: Facts, tally: Tally) -> Ruling:
    """What the rules say, and then what people say to that."""
    ruled = (
        _only_by_person(compared.candidate.version, facts)
        or _incomparable(policy, compared.candidate, compared.champion, facts)
        or _by_margin(policy, compared, facts.on_holdout)
    )
    kind, code, reasons = ruled
    request = facts.request
    if request and request.is_override:
        told = f"{request.actor} overrode what forbids it: {request.reason}"
        return "promote", "override", (told, *_overridden(facts), *reasons)
    is_open = kind == "promote" or (kind == "hold" and code not in _UNANSWERABLE)
    if is_open and (_asks(policy, kind, code) or (kind == "hold" and facts.said.asked)):
        return _by_approval(policy, compared, facts, tally, ruled)
    if is_open and request and kind == "hold":
        because = f": {request.reason}" if request.reason else ""
        return "promote", "asked_for", (f"{request.actor} promoted it{because}", *reasons)
    if kind == "hold" and _has_expired(compared, facts):
        return _hold("approval_expired", "nobody answered in time", *reasons)
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
        return _hold("approval_expired", "nobody answered in time", *reasons)
    whom = ", ".join(policy.approvers) or "any approver"
    asks = f"{len(tally.valid)} of {rule.required} approvals are given; asked are: {whom}"
    author = () if facts.author is None else (_tell_author(facts.author),)
    return "ask", code, (*reasons, asks, *given, *tally.void, *author)


def _tell_author(author: str) -> str:
    return f"the author is {author}, as the run's tag mlflow.user claims (unverified)"


def _hold(code: str, *reasons: str) -> Ruling:
    return "hold", code, reasons


def _closed(version: str, facts: Facts) -> Ruling | None:
    """What no metric can change."""
    production = facts.production
    if version == production.version:
        return "nothing", "already_production", (f"version {version} is Production already",)
    is_override = facts.request is not None and facts.request.is_override
    if version in facts.rejected_by_person and not is_override:
        return "reject", "rejected_by_person", (f"version {version} was rejected by a person",)
    if production.problem:
        return _hold(production.problem, production.reason)
    return None


def _only_by_person(version: str, facts: Facts) -> Ruling | None:
    """Where automation does not go, whatever the numbers say."""
    production = facts.production
    if version in facts.rolled_back_from:
        reason = f"Production was rolled back from version {version}; only a person promotes it"
        return _hold("rolled_back_from", reason)
    if production.version and is_older(version, production.version):
        reason = (
            f"version {version} is older than Production version {production.version}; "
            "only a person goes back"
        )
        return _hold("older_than_production", reason)
    return None


def is_older(version: str, other: str) -> bool:
    """Whether a version was registered before another of the same model: MLflow counts up."""
    return version.isdigit() and other.isdigit() and int(version) < int(other)


def _incomparable(
    policy: Policy, candidate: Measured, champion: Measured | None, facts: Facts
) -> Ruling | None:
    """There are not two numbers to compare, or no rule to compare them by."""
    when, found = policy.promote.when, facts.on_holdout
    if found is not None and found.comparison.problem:
        return _hold("not_comparable", found.comparison.problem, found.holdout.told)
    is_first_on_holdout = champion is None and is_by_holdout(policy)
    if is_by_holdout(policy) and found is None and champion is not None and facts.holdout_problem:
        return _hold("not_comparable", facts.holdout_problem)
    unknown = _unknown_of_candidate(candidate, when.metric) if when else None
    if unknown and not is_first_on_holdout:
        return unknown
    if champion is None:
        return _first_version(policy, candidate)
    if when is None:
        return _hold("no_rule", "the policy has no promote.when: only a person promotes")
    return _unknown_of_champion(champion, when.metric) or _not_comparable(
        policy, candidate, champion, facts
    )


def _not_comparable(
    policy: Policy, candidate: Measured, champion: Measured, facts: Facts
) -> Ruling | None:
    metric = policy.promote.when.metric if policy.promote.when else ""
    new, old = candidate.of(metric), champion.of(metric)
    if not (isinstance(new, Found) and isinstance(old, Found)):
        return None
    return by_holdout.not_comparable(policy, new, old, facts.on_holdout, facts.holdout_problem)


def _unknown_of_candidate(candidate: Measured, metric: str) -> Ruling | None:
    match candidate.of(metric):
        case Missing(detail):
            return _hold("incomplete", detail)
        case Ambiguous(detail):
            return _hold("ambiguous", detail)
        case Invalid(detail):
            return "reject", "metric_invalid", (detail,)
    return None


def _unknown_of_champion(champion: Measured, metric: str) -> Ruling | None:
    """Production without a number is never an automatic win for the candidate."""
    names: dict[type[Lookup], str] = {
        Missing: "champion_metric_missing",
        Ambiguous: "champion_metric_ambiguous",
        Invalid: "champion_metric_invalid",
    }
    found = champion.of(metric)
    if isinstance(found, Found):
        return None
    reason = f"Production version {champion.version} cannot be compared with: {found.detail}"
    return _hold(names[type(found)], reason)


def _first_version(policy: Policy, candidate: Measured) -> Ruling:
    if policy.promote.first_version != "promote":
        reason = "there is no Production yet, and the policy leaves the first version to a person"
        return _hold("first_version", reason)
    measured = candidate.of(policy.promote.when.metric) if policy.promote.when else None
    number = f"; {measured.name} is {tell(measured.value)}" if isinstance(measured, Found) else ""
    return "promote", "no_production", (f"there is no Production yet{number}",)


def _by_margin(policy: Policy, compared: Decision, found: OnHoldout | None) -> Ruling:
    told = tuple(_tell_comparison(policy, compared))
    if found is not None:
        if held := by_holdout.rule(policy, found, compared.required, told):
            return held
        told += by_holdout.certainty(policy, found, compared.required or Decimal(0))
    elif compared.gain is None or compared.required is None or compared.gain < compared.required:
        return _hold("below_margin", *told)
    worse = next(_worse(policy, compared), None)
    if worse:
        code, reason = worse
        return _hold(code, reason, *told)
    return "promote", "beats_production", told


def _compare(policy: Policy, candidate: Measured, champion: Measured | None) -> Decision:
    """Number against number, where there are two."""
    when = policy.promote.when
    base = Decision("hold", "", (), candidate, champion)
    if when is None:
        return base
    new = candidate.of(when.metric)
    old = champion.of(when.metric) if champion else None
    margins = [] if when.margin is None else [when.margin]
    if when.margin_relative is not None and isinstance(old, Found):
        margins.append(when.margin_relative * abs(old.value))
    base = replace(base, metric=when.metric, required=max(margins, default=None))
    if not (isinstance(new, Found) and isinstance(old, Found)):
        return base
    return replace(base, gain=_gain(policy, when.metric, new, old))


def _gain(policy: Policy, metric: str, new: Found, old: Found) -> Decimal:
    difference = new.value - old.value
    return difference if policy.metrics[metric].better == "higher" else -difference


def _tell_comparison(policy: Policy, compared: Decision) -> Iterator[str]:
    """Such as: auc 0.914 against Production version 3's 0.905: better by 0.009, less than ..."""
    champion, when = compared.champion, policy.promote.when
    if champion is None or when is None or compared.gain is None:
        return
    new, old = compared.candidate.of(when.metric), champion.of(when.metric)
    if isinstance(new, Found) and isinstance(old, Found):
        against = tell(old.value) if old.name == new.name else f"{old.name} {tell(old.value)}"
        yield (
            f"{new.name} {tell(new.value)} against Production version {champion.version}'s "
            f"{against}: {_tell_gain(when, compared.gain, compared.required or Decimal(0))}"
        )
        yield from _tell_data(new, old)


def _tell_gain(when: When, gain: Decimal, required: Decimal) -> str:
    margin = f"the margin of {tell(required)}"
    if when.margin_relative is not None and required != when.margin:
        margin += f" ({tell(when.margin_relative * 100)}% of Production's)"
    better = f"better by {tell(gain)}"
    if gain >= required:
        return f"{better if gain else 'no difference'}, at least {margin}"
    if gain > 0:
        return f"{better}, less than {margin}"
    return f"{f'worse by {tell(-gain)}' if gain else 'no difference'}; {margin} is required"


def _tell_data(new: Found, old: Found) -> Iterator[str]:
    """Numbers measured on different data compare badly; people should know."""
    if new.dataset and old.dataset and new.dataset != old.dataset:
        yield f"the two were measured on different data: {new.dataset} and {old.dataset}"
    elif new.dataset_digest and old.dataset_digest and new.dataset_digest != old.dataset_digest:
        yield f"the two were measured on different contents of dataset {new.dataset}"


def _worse(policy: Policy, compared: Decision) -> Iterator[tuple[str, str]]:
    """The metrics of ``not_worse`` that lost more than they may, or that nobody knows."""
    candidate, champion = compared.candidate, compared.champion
    if champion is None:
        return
    for metric, allowed in policy.promote.not_worse.items():
        unknown = _unknown_of_candidate(candidate, metric) or _unknown_of_champion(champion, metric)
        if unknown:
            # The metric that promotes was found, so a number lacking here holds, never rejects.
            yield unknown[1], unknown[2][0]
            continue
        new, old = candidate.of(metric), champion.of(metric)
        if isinstance(new, Found) and isinstance(old, Found):
            loss = -_gain(policy, metric, new, old)
            if loss > allowed:
                reason = (
                    f"{new.name} {tell(new.value)} against {tell(old.value)}: worse by "
                    f"{tell(loss)}, more than the {tell(allowed)} it may lose"
                )
                yield "worse_metric", reason
