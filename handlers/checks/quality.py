"""Is the version good enough on the holdout? scikit-learn's metrics against the policy's bounds.

Called by the suite. A bound on a metric that cannot be computed is an error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from handlers.checks import CheckResult, Status
from handlers.checks.context import Array, Task
from handlers.checks.metrics import Metric, metric_named, metrics_of


@dataclass(frozen=True, slots=True)
class Bound:
    """What a metric must hold, both ends inclusive."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Bounds by metric name or alias; metrics without one are measured and told, and pass."""

    bounds: Mapping[str, Bound] = field(default_factory=dict)


def check_quality(
    task: Task, labels: Array, scores: Array, limits: QualityLimits
) -> tuple[CheckResult, ...]:
    """Every metric of the task on ``labels`` ``(n,)`` and ``scores`` ``(n,)`` or ``(n, k)``."""
    wanted = {metric.name: Bound() for metric in metrics_of(task)}
    unknown = []
    for name, bound in limits.bounds.items():
        metric = metric_named(name)
        if metric is None or task not in metric.tasks:
            detail = f"{name} is no metric of a {task} model"
            unknown.append(CheckResult(f"quality.{name}", "error", detail=detail))
        else:
            wanted[metric.name] = bound
    measured = [
        _measured(metric, labels, scores, wanted[metric.name]) for metric in metrics_of(task)
    ]
    return (*measured, *unknown)


def _measured(metric: Metric, labels: Array, scores: Array, bound: Bound) -> CheckResult:
    name = f"quality.{metric.name}"
    try:
        value = metric.function(labels, scores)
    except ValueError as error:  # scikit-learn's word for one class, NaN and wrong shapes
        return CheckResult(name, "error", n=len(labels), detail=str(error).split("\n")[0])
    if not math.isfinite(value):
        detail = "is not defined on these rows"
        if len(np.unique(labels)) == 1:
            detail += ": all have the same label"
        return CheckResult(name, "error", n=len(labels), detail=detail)
    status, threshold, detail = _held(value, bound, metric)
    return CheckResult(name, status, value, threshold, len(labels), detail)


def _held(value: float, bound: Bound, metric: Metric) -> tuple[Status, float | None, str]:
    rounded = round(value, 9)  # as the policy's other numbers are compared
    if bound.min is not None and rounded < bound.min:
        return "fail", bound.min, f"{rounded:.6g} is below {bound.min:g}"
    if bound.max is not None and rounded > bound.max:
        return "fail", bound.max, f"{rounded:.6g} is above {bound.max:g}"
    first, second = (bound.min, bound.max) if metric.better == "higher" else (bound.max, bound.min)
    threshold = first if first is not None else second
    return "pass", threshold, f"{rounded:.6g}, {metric.better} is better"
