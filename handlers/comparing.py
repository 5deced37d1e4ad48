"""Candidate and Production on the same rows: by what promotes, and by what must not get worse.

Called by ``examination`` with the answers of both.
"""

import math

from handlers.checks.metrics import METRICS, Metric
from handlers.comparison import RESAMPLES, compare_auc, compare_by_bootstrap
from handlers.conclusion import Comparison
from handlers.examined import BothScored, computed_as
from handlers.scoring import Scored, metric_of, same_classes
from steward.policy import Policy

_TOLD_CLASSES = 20
_LONGEST_REASON = 300


def compare(
    policy: Policy, candidate: Scored, champion: Scored, *, resamples: int = RESAMPLES
) -> Comparison:
    """Both on the same rows: paired DeLong for ROC AUC of two classes, else a paired bootstrap."""
    when, metric = policy.promote.when, metric_of(policy)
    confidence = when.confidence if when else 0.95
    is_auc = metric.name == "roc_auc" and candidate.task == "binary"
    if candidate.task != champion.task:
        problem = f"one is a {candidate.task} model, the other {champion.task}"
        return Comparison(metric.name, "bootstrap", confidence, 0, 0, problem=problem)
    if candidate.task not in metric.tasks:
        problem = f"{metric.name} is no metric of a {candidate.task} model"
        return Comparison(metric.name, "bootstrap", confidence, 0, 0, problem=problem)
    if not same_classes(candidate, champion):
        problem = _told_classes(candidate, champion)
        return Comparison(metric.name, "bootstrap", confidence, 0, 0, problem=problem)
    try:
        if is_auc:
            return compare_auc(
                candidate.labels, candidate.scores, champion.scores, confidence=confidence
            )
        return compare_by_bootstrap(
            metric.name,
            metric.function,
            candidate.labels,
            candidate.scores,
            champion.scores,
            better=metric.better,
            is_classification=candidate.task != "regression",
            by_row=metric.by_row,
            confidence=confidence,
            resamples=resamples,
        )
    except ValueError as error:
        n = len(candidate.labels)
        return Comparison(metric.name, "bootstrap", confidence, n, 0, problem=str(error))


def score_not_worse(
    policy: Policy, candidate: Scored, champion: Scored
) -> tuple[dict[str, BothScored], dict[str, str]]:
    """Both by each metric of ``not_worse`` that can be computed, and why not by the others.

    By the policy's name for it. One that is nothing to compute is in neither: it is logged.
    """
    scored: dict[str, BothScored] = {}
    unscored: dict[str, str] = {}
    for name in policy.promote.not_worse:
        function = computed_as(policy, name)
        if function is None:
            continue
        try:
            scored[name] = _score_both(METRICS[function], candidate, champion)
        except ValueError as error:  # one class only, or answers that are no probabilities
            unscored[name] = str(error)[:_LONGEST_REASON]
    return scored, unscored


def _score_both(metric: Metric, candidate: Scored, champion: Scored) -> BothScored:
    """ValueError with the reason where one of them cannot be measured so."""
    if candidate.task not in metric.tasks:
        raise ValueError(f"it is no metric of a {candidate.task} model")
    values = []
    for whose, side in (("the candidate", candidate), ("Production", champion)):
        try:
            value = metric.function(candidate.labels, side.scores)
        except ValueError as error:
            raise ValueError(f"{whose}: {error}") from error
        if not math.isfinite(value):
            raise ValueError(f"{whose}: the value is no finite number")
        values.append(value)
    return BothScored(metric.name, *values)


def _told_classes(candidate: Scored, champion: Scored) -> str:
    sides = (("the candidate's", candidate.classes), ("Production's", champion.classes))
    told = "; ".join(
        f"{whose} are {', '.join(classes[:_TOLD_CLASSES])}"
        + (f" and {len(classes) - _TOLD_CLASSES} more" if len(classes) > _TOLD_CLASSES else "")
        for whose, classes in sides
        if classes is not None
    )
    problem = "the two models know other classes, or the same in another order"
    return f"{problem}: {told}" if told else problem
