"""Looks whether a version keeps its judgement of noisy, incomplete and reordered rows.

Called by the suite, which scores what ``noisy``, ``with_gaps`` and ``reordered`` make.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from handlers.checks import CheckResult, Status
from handlers.checks.context import Array
from handlers.checks.metrics import Metric, predicted_classes

_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class RobustnessLimits:
    """Noise of ``noise_sd`` standard deviations, gaps in ``missing_share`` of the cells; bounds.

    The drop is how much worse the metric becomes, the worst of the seeds; the flip rate the share
    of rows whose class changes. A None bound is not checked; without ``missing_drop_max`` no rows
    with gaps are tried, as many models rightly refuse them.
    """

    noise_sd: float = 0.1
    metric_drop_max: float = 0.03
    flip_rate_max: float | None = 0.1
    missing_share: float = 0.05
    missing_drop_max: float | None = None
    seeds: tuple[int, ...] = (1, 2, 3)
    metric: str | None = None  # None: ROC AUC or R2


def noisy(features: pd.DataFrame, sd: float, seed: int) -> pd.DataFrame:
    """A copy with Gaussian noise of ``sd`` column deviations in every column of numbers.

    Whole numbers stay whole, rounded; booleans, text and gaps stay as they are.
    """
    generator = np.random.default_rng(seed)
    copy = features.copy()
    for name in features.columns:
        column = features[name]
        if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
            continue
        shift = generator.normal(0.0, 1.0, len(column)) * sd * column.std(ddof=0)
        if pd.api.types.is_integer_dtype(column):
            copy[name] = _whole(column, np.round(shift))
        else:
            copy[name] = (column + shift).astype(column.dtype)
    return copy


def _whole(column: pd.Series, shift: Array) -> pd.Series:
    """Shifted, within what its type can hold: a noisy byte does not wrap around."""
    name = str(column.dtype).lower()  # Int64 is pandas' int64 with gaps
    limits = np.iinfo(name)
    moved = (column + shift).clip(float(limits.min), float(limits.max))
    return moved.astype(column.dtype)


def with_gaps(features: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """A copy with ``share`` of the cells missing, in the columns whose type can hold a gap."""
    generator = np.random.default_rng(seed)
    copy = features.copy()
    for name in features.columns:
        drawn = generator.random(len(features)) < share
        column = features[name]
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biu":
            continue
        copy[name] = column.mask(drawn)
    return copy


def reordered(features: pd.DataFrame) -> pd.DataFrame:
    """The same columns, last first."""
    return features[list(features.columns[::-1])]


def check_drop(
    probe: str,
    metric: Metric,
    labels: Array,
    scores: Array,
    perturbed: list[Array],
    *,
    limit: float,
) -> CheckResult:
    """How much worse ``metric`` becomes from ``scores`` to the worst of ``perturbed``."""
    name, n = f"robustness.{probe}.metric_drop", len(labels)
    if not perturbed:
        return CheckResult(name, "error", None, limit, n, "no perturbed rows were scored")
    before = metric.function(labels, scores)
    after = [metric.function(labels, answer) for answer in perturbed]
    sign = 1 if metric.better == "higher" else -1
    drop = max(sign * (before - value) for value in after)
    if not np.isfinite(drop):
        return CheckResult(name, "error", None, limit, n, f"{metric.name} is not defined here")
    status: Status = "pass" if round(drop, 9) <= limit else "fail"
    beyond = "" if status == "pass" else f", more than {limit:g}"
    detail = f"{metric.name} loses {drop:.4f} at worst, in {len(perturbed)} trials{beyond}"
    return CheckResult(name, status, float(drop), limit, n, detail)


def check_flips(probe: str, scores: Array, perturbed: list[Array], limit: float) -> CheckResult:
    """The share of rows that change their class from ``scores`` to the worst of ``perturbed``."""
    name, n = f"robustness.{probe}.flip_rate", len(scores)
    if not perturbed:
        return CheckResult(name, "error", None, limit, n, "no perturbed rows were scored")
    classes = predicted_classes(scores)
    rate = max(float(np.mean(classes != predicted_classes(answer))) for answer in perturbed)
    status: Status = "pass" if round(rate, 9) <= limit else "fail"
    beyond = "" if status == "pass" else f", more than {limit:.1%}"
    detail = f"{rate:.1%} of the rows change their class{beyond}"
    return CheckResult(name, status, rate, limit, n, detail)


def check_column_order(scores: Array, answer: Array) -> CheckResult:
    """The same columns in another order must give the same answer, or be refused."""
    name = "robustness.column_order"
    gap = float(np.max(np.abs(scores - answer))) if len(scores) else float("nan")
    if not np.isfinite(gap):
        return CheckResult(name, "error", n=len(scores), detail="no finite answers to compare")
    if gap <= _SAME:
        return CheckResult(name, "pass", gap, _SAME, len(scores), "the order does not matter")
    detail = "answers otherwise when the same columns come in another order, without an error"
    return CheckResult(name, "fail", gap, _SAME, len(scores), detail)
