"""The ruling on a comparison by the holdout, and whether logged values may be compared at all.

Called by ``decisions``. Pure.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Literal

from handlers.conclusion import Conclusion, conclude
from handlers.examined import OnHoldout, computed_as, is_by_holdout
from handlers.metrics import Found, exact
from handlers.rulings import Measured, Ruling
from steward.policy import Policy
from steward.policy.model import When

HOLDOUT = "holdout"
"""The origin of a value that Steward measured on the holdout itself."""
_RULINGS = {"not_better": "below_margin", "inconclusive": "inconclusive"}


def on_the_same_rows(
    policy: Policy, side: Measured, which: Literal["candidate", "champion"], found: OnHoldout
) -> Measured:
    """The side with what was measured on the holdout in the place of what was logged."""
    when, value = policy.promote.when, getattr(found.comparison, which)
    if when is None or value is None:
        return side
    measured = {
        name: _on(found, both.metric, getattr(both, which)) for name, both in found.others.items()
    }
    measured[when.metric] = _on(found, found.comparison.metric, value)
    return replace(side, metrics={**side.metrics, **measured})


def _on(found: OnHoldout, metric: str, value: float) -> Found:
    rows = found.holdout
    return Found(exact(value), metric, HOLDOUT, rows.sha256, rows.name, rows.sha256)


def unscored(policy: Policy, found: OnHoldout | None, name: str) -> str | None:
    """Why a metric of ``not_worse`` was not computed on the rows, though it is one that can be.

    None where it was, or where logged values decide: those are the author's, so they never stand
    in for what the answers did not let us compute.
    """
    if found is None or name in found.others or (function := computed_as(policy, name)) is None:
        return None
    why = found.unscored.get(name) or "it was not scored"
    known_as = name if name == function else f"{name} ({function})"
    return f"{known_as}, which may not get worse, could not be computed on the holdout: {why}"


def required_gain(when: When, champion: Decimal | None) -> Decimal | None:
    """The gain that the policy asks for over Production's value; None where it cannot be told."""
    margins = [] if when.margin is None else [when.margin]
    if when.margin_relative is not None and champion is not None:
        margins.append(when.margin_relative * abs(champion))
    return max(margins, default=None)


def concluded(policy: Policy, found: OnHoldout) -> tuple[Decimal, Conclusion] | None:
    """The gain that is asked for, and what the comparison says of it; None without either."""
    when, champion = policy.promote.when, found.comparison.champion
    if when is None:
        return None
    wanted = required_gain(when, None if champion is None else exact(champion))
    if wanted is None:
        return None
    return wanted, conclude(found.comparison, wanted, when.confidence)


def rule(
    policy: Policy, found: OnHoldout, required: Decimal | None, told: tuple[str, ...]
) -> Ruling | None:
    """Hold with the reason, or None where the candidate is better."""
    when = policy.promote.when
    if when is None or required is None:
        return "hold", "not_comparable", (_why_not(found), found.holdout.told)
    conclusion = conclude(found.comparison, required, when.confidence)
    if conclusion.ruling == "better":
        return None
    return "hold", _RULINGS[conclusion.ruling], (*told, *conclusion.reasons, found.holdout.told)


def certainty(policy: Policy, found: OnHoldout, required: Decimal) -> tuple[str, ...]:
    """How sure it is that the candidate is better, and how used the rows are."""
    when = policy.promote.when
    confidence = when.confidence if when else 0.95
    return (*conclude(found.comparison, required, confidence).reasons, found.holdout.told)


def not_comparable(
    policy: Policy, new: Found, old: Found, found: OnHoldout | None, problem: str
) -> Ruling | None:
    """Why logged values decide nothing; None where they may, or where the holdout decides."""
    when = policy.promote.when
    if found is not None or when is None or when.compare == "logged":
        return None
    if when.compare == "holdout":
        return "hold", "not_comparable", (problem or "the two were not scored on the holdout",)
    if _differ(new, old):
        reason = (
            f"{new.name} was measured on different data: {_data(new)} and {_data(old)}; "
            "with compare: logged the policy would compare them all the same"
        )
        return "hold", "not_comparable", (reason,)
    if is_by_holdout(policy) and not (new.dataset and new.dataset_digest and old.dataset_digest):
        reason = "the logged values do not say that they were measured on the same data"
        return "hold", "not_comparable", (*([problem] if problem else []), reason)
    return None


def _differ(new: Found, old: Found) -> bool:
    """Whether it is known that two values are of different data."""
    names = new.dataset and old.dataset and new.dataset != old.dataset
    digests = new.dataset_digest and old.dataset_digest and new.dataset_digest != old.dataset_digest
    return bool(names or digests)


def _data(found: Found) -> str:
    digest = f" ({found.dataset_digest})" if found.dataset_digest else ""
    return f"{found.dataset}{digest}"


def _why_not(found: OnHoldout) -> str:
    return found.comparison.problem or "there is no margin to compare with"
