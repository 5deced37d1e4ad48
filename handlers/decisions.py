"""Promote, hold or reject: a version against Production, by the policy, with the reasons.

Called by ``promote`` and by a back-test. Pure: numbers are exact decimals of nine places, so that
0.82 beats 0.80 by a margin of 0.02.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from handlers import by_holdout
from handlers.approvals import count
from handlers.asking import answer, fingerprint
from handlers.by_holdout import on_the_same_rows
from handlers.examined import OnHoldout, is_by_holdout
from handlers.metrics import Ambiguous, Found, Invalid, Lookup, Missing, tell
from handlers.rulings import Decision, Facts, Measured, Ruling, hold
from steward.policy import Policy
from steward.policy.model import When


def decide(
    policy: Policy, candidate: Measured, champion: Measured | None, facts: Facts
) -> Decision:
    """Judge a version that passed its gates. ``champion`` is Production, None if there is none.

    The first rule that has an answer decides.
    """
    found = facts.on_holdout
    if found is not None and (champion is None or found.champion != champion.version):
        found = None
    if found is not None and champion is not None:
        candidate = on_the_same_rows(policy, candidate, "candidate", found)
        champion = on_the_same_rows(policy, champion, "champion", found)
    compared = replace(_compare(policy, candidate, champion), on_holdout=found)
    compared = replace(compared, evidence=fingerprint(compared, facts))
    tally = count(facts.said, policy, evidence=compared.evidence, author=facts.author)
    ruled = _ruled(policy, compared, facts)
    closed = _closed(candidate.version, facts)
    kind, code, reasons = closed or answer(policy, compared, facts, tally, ruled)
    return replace(
        compared,
        kind=kind,
        code=code,
        reasons=reasons,
        approvals=tally.valid,
        author=facts.author,
        ruled=ruled[1],
    )


def _ruled(policy: Policy, compared: Decision, facts: Facts) -> Ruling:
    """What the rules say, before any person is asked."""
    return (
        _only_by_person(compared.candidate.version, facts)
        or _incomparable(policy, compared.candidate, compared.champion, facts)
        or _by_margin(policy, compared, facts.on_holdout)
    )


def _closed(version: str, facts: Facts) -> Ruling | None:
    """What no metric can change."""
    production = facts.production
    if version == production.version:
        return "nothing", "already_production", (f"version {version} is Production already",)
    is_override = facts.request is not None and facts.request.is_override
    if version in facts.rejected_by_person and not is_override:
        return "reject", "rejected_by_person", (f"version {version} was rejected by a person",)
    if production.problem:
        return hold(production.problem, production.reason)
    return None


def _only_by_person(version: str, facts: Facts) -> Ruling | None:
    """Where automation does not go, whatever the numbers say."""
    production = facts.production
    if version in facts.rolled_back_from:
        reason = f"Production was rolled back from version {version}; only a person promotes it"
        return hold("rolled_back_from", reason)
    if production.version and is_older(version, production.version):
        reason = (
            f"version {version} is older than Production version {production.version}; "
            "only a person goes back"
        )
        return hold("older_than_production", reason)
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
        return hold("not_comparable", found.comparison.problem, found.holdout.told)
    is_first_on_holdout = champion is None and is_by_holdout(policy)
    if is_by_holdout(policy) and found is None and champion is not None and facts.holdout_problem:
        return hold("not_comparable", facts.holdout_problem)
    unknown = _unknown_of_candidate(candidate, when.metric) if when else None
    if unknown and not is_first_on_holdout:
        return unknown
    if champion is None:
        return _first_version(policy, candidate)
    if when is None:
        return hold("no_rule", "the policy has no promote.when: only a person promotes")
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
            return hold("incomplete", detail)
        case Ambiguous(detail):
            return hold("ambiguous", detail)
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
    return hold(names[type(found)], reason)


def _first_version(policy: Policy, candidate: Measured) -> Ruling:
    if policy.promote.first_version != "promote":
        reason = "there is no Production yet, and the policy leaves the first version to a person"
        return hold("first_version", reason)
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
        return hold("below_margin", *told)
    worse = next(_worse(policy, compared), None)
    if worse:
        code, reason = worse
        return hold(code, reason, *told)
    return "promote", "beats_production", told


def _compare(policy: Policy, candidate: Measured, champion: Measured | None) -> Decision:
    """Number against number, where there are two."""
    when = policy.promote.when
    base = Decision("hold", "", (), candidate, champion)
    if when is None:
        return base
    new = candidate.of(when.metric)
    old = champion.of(when.metric) if champion else None
    required = by_holdout.required_gain(when, old.value if isinstance(old, Found) else None)
    base = replace(base, metric=when.metric, required=required)
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
        if unscored := by_holdout.unscored(policy, compared.on_holdout, metric):
            yield "not_comparable", unscored
            continue
        unknown = _unknown_of_candidate(candidate, metric) or _unknown_of_champion(champion, metric)
        if unknown:
            # The metric that promotes was found, so a number lacking here holds, never rejects.
            yield unknown[1], unknown[2][0]
            continue
        new, old = candidate.of(metric), champion.of(metric)
        if isinstance(new, Found) and isinstance(old, Found):
            loss = -_gain(policy, metric, new, old)
            if loss > allowed:
                where = "on the holdout" if new.origin == by_holdout.HOLDOUT else "as logged"
                reason = (
                    f"{new.name} {tell(new.value)} against {tell(old.value)} {where}: worse by "
                    f"{tell(loss)}, more than the {tell(allowed)} it may lose"
                )
                yield "worse_metric", reason
