"""Are the answers answers at all? Finite, not all the same, and not too good to be true.

Called by the suite.
"""

from dataclasses import dataclass

import numpy as np

from handlers.checks import CheckResult, Status
from handlers.checks.context import Array, Task
from handlers.checks.metrics import MAIN, METRICS


@dataclass(frozen=True, slots=True)
class SanityLimits:
    """``leak_at``: from which ROC AUC or R2 on the label must have leaked; None allows it."""

    leak_at: float | None = 0.9999


def check_sanity(
    task: Task, labels: Array | None, scores: Array, limits: SanityLimits
) -> tuple[CheckResult, ...]:
    """``scores`` ``(n,)`` or ``(n, k)``; without ``labels`` a leak cannot be told: an error."""
    finite = _finite(scores)
    if finite.status != "pass":
        return (finite,)
    results = (finite, _varied(scores))
    return results if limits.leak_at is None else (*results, _leak(task, labels, scores, limits))


def _finite(scores: Array) -> CheckResult:
    name, n = "sanity.finite", len(scores)
    if n == 0:
        return CheckResult(name, "error", n=0, detail="there are no answers")
    broken = int(np.sum(~np.isfinite(scores)))
    detail = f"{broken} answers are NaN or infinite" if broken else "every answer is a number"
    return CheckResult(name, "fail" if broken else "pass", float(broken), 0.0, n, detail)


def _varied(scores: Array) -> CheckResult:
    name, n = "sanity.not_constant", len(scores)
    if n == 1:
        return CheckResult(name, "error", n=1, detail="one answer does not tell")
    spread = float(np.max(np.ptp(scores, axis=0)))
    detail = "the answers differ" if spread > 0 else "every row gets the same answer"
    return CheckResult(name, "pass" if spread > 0 else "fail", spread, 0.0, n, detail)


def _leak(task: Task, labels: Array | None, scores: Array, limits: SanityLimits) -> CheckResult:
    metric, n = METRICS[MAIN[task]], len(scores)
    if labels is None:
        return CheckResult("sanity.leak", "error", n=n, detail="no labels to look for a leak with")
    try:
        value = metric.function(labels, scores)
    except ValueError as error:
        detail = str(error).split("\n")[0]
        return CheckResult("sanity.leak", "error", None, limits.leak_at, n, detail)
    if not np.isfinite(value):
        detail = f"{metric.name} is not defined on these rows"
        return CheckResult("sanity.leak", "error", None, limits.leak_at, n, detail)
    is_leak = limits.leak_at is not None and value >= limits.leak_at
    detail = f"{metric.name} {value:.6f}" + (": too good to be true" if is_leak else "")
    status: Status = "fail" if is_leak else "pass"
    return CheckResult("sanity.leak", status, value, limits.leak_at, n, detail)
