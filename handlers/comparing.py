"""Candidate and Production on the same rows: by what promotes, and by what must not get worse.

Called by ``examination`` with the answers of both.
"""

import math

from handlers.checks.metrics import METRICS
from handlers.comparison import compare_auc, compare_by_bootstrap
from handlers.conclusion import Comparison
from handlers.examined import BothScored, computed_as
from handlers.scoring import Scored, metric_of, same_classes
from steward.policy import Policy

_TOLD_CLASSES = 20


def compare(policy: Policy, candidate: Scored, champion: Scored) -> Comparison:
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
        )
    except ValueError as error:
        n = len(candidate.labels)
        return Comparison(metric.name, "bootstrap", confidence, n, 0, problem=str(error))


def score_not_worse(policy: Policy, candidate: Scored, champion: Scored) -> dict[str, BothScored]:
    """Both by each metric of ``not_worse`` that can be computed, by the policy's name for it.

    One that cannot be is left out, and then decided by its logged values.
    """
    found: dict[str, BothScored] = {}
    for name in policy.promote.not_worse:
        metric = METRICS.get(computed_as(policy, name) or "")
        if metric is None or candidate.task not in metric.tasks:
            continue
        try:
            values = [
                metric.function(candidate.labels, side.scores) for side in (candidate, champion)
            ]
        except ValueError:  # one class only, or answers that are no probabilities
            continue
        if all(math.isfinite(value) for value in values):
            found[name] = BothScored(metric.name, *values)
    return found


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
