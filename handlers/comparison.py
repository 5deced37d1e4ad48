"""Measures candidate against champion on the same rows; ``examine`` calls it, ``conclude`` rules.

Imports numpy and scipy: loaded only where a version is examined, never by the receiver.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from handlers.conclusion import Comparison, Conclusion, conclude

__all__ = ["ByRow", "Comparison", "Conclusion", "compare_auc", "compare_by_bootstrap", "conclude"]

Array = npt.NDArray[Any]
_Answer = TypeVar("_Answer")
MetricFunction = Callable[[Array, Array], _Answer]
_FEWEST_FOR_VARIANCE = 2
RESAMPLES = 1000
"""How often rows are drawn again for an interval by the bootstrap."""


@dataclass(frozen=True, slots=True)
class ByRow:
    """A metric that is a function of a mean over rows: far cheaper to bootstrap.

    ``values(labels, scores)`` -> ``(n,)``; the metric is ``of_mean`` of their mean.
    """

    values: MetricFunction[Array]
    of_mean: Callable[[float], float] = float


def compare_auc(
    labels: Array, candidate: Array, champion: Array, *, confidence: float = 0.95
) -> Comparison:
    """Paired DeLong: areas under the ROC curve of two scores on the same rows, and what to believe.

    ``labels``: ``(n,)`` of 0 and 1; ``candidate``, ``champion``: ``(n,)`` of scores, higher for
    class 1. The variance is that of DeLong, DeLong and Clarke-Pearson (1988,
    https://doi.org/10.2307/2531595), computed by midranks in O(n log n) after Sun and Xu (2014,
    https://doi.org/10.1109/LSP.2014.2337313). Fewer than two rows of a class leave it unmeasured.
    Raises ValueError on other labels, unequal lengths and scores that are not finite.
    """
    _require_alike(labels, candidate, champion)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 and 1")
    is_positive = labels == 1
    n_pos = int(is_positive.sum())
    n_neg = len(labels) - n_pos
    base = Comparison(
        metric="roc_auc",
        method="delong",
        confidence=confidence,
        n=len(labels),
        fewest=min(n_pos, n_neg),
        n_pos=n_pos,
        n_neg=n_neg,
    )
    if base.fewest == 0:
        return replace(base, problem="all rows have the same label: no comparison")
    if base.fewest < _FEWEST_FOR_VARIANCE:
        return replace(base, problem=f"{n_pos} positive and {n_neg} negative rows: no comparison")
    of_positives, of_negatives = _placements(candidate, is_positive)
    champion_positives, champion_negatives = _placements(champion, is_positive)
    aucs = float(of_positives.mean()), float(champion_positives.mean())
    variance = (
        np.var(of_positives - champion_positives, ddof=1) / n_pos
        + np.var(of_negatives - champion_negatives, ddof=1) / n_neg
    )
    return _with_normal_bounds(base, *aucs, variance=float(variance))


def _placements(scores: Array, is_positive: Array) -> tuple[Array, Array]:
    """DeLong's structural components: of each row, the share of the other class it ranks rightly.

    ``((n_pos,), (n_neg,))``. A tie counts one half, which the midrank gives.
    """
    positives, negatives = scores[is_positive], scores[~is_positive]
    ranks = rankdata(np.concatenate([positives, negatives]))
    of_positives = (ranks[: len(positives)] - rankdata(positives)) / len(negatives)
    of_negatives = 1 - (ranks[len(positives) :] - rankdata(negatives)) / len(positives)
    return of_positives, of_negatives


def _with_normal_bounds(
    base: Comparison, candidate: float, champion: float, *, variance: float
) -> Comparison:
    delta, se = candidate - champion, variance**0.5
    one_sided = NormalDist().inv_cdf(base.confidence) * se
    two_sided = NormalDist().inv_cdf((1 + base.confidence) / 2) * se
    return replace(
        base,
        candidate=candidate,
        champion=champion,
        delta=delta,
        variance=variance,
        se=se,
        lower=delta - one_sided,
        upper=delta + one_sided,
        interval_low=delta - two_sided,
        interval_high=delta + two_sided,
    )


def compare_by_bootstrap(
    metric: str,
    function: MetricFunction[float],
    labels: Array,
    candidate: Array,
    champion: Array,
    *,
    better: Literal["higher", "lower"],
    is_classification: bool = True,
    by_row: ByRow | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap of any metric ``function(labels, scores)``; percentile bounds.

    The same drawn rows measure both versions, and each class keeps its number of rows
    (stratified), so that no resample lacks one. ``candidate`` and ``champion`` are ``(n,)`` or
    ``(n, k)``; ``by_row`` is the same metric, where it has that form; ``seed`` makes the answer
    repeatable. Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
    Raises ValueError as ``compare_auc`` does.
    """
    _require_alike(labels, candidate, champion)
    classes = np.unique(labels, return_inverse=True)[1] if is_classification else None
    base = _counted(metric, labels, classes, confidence)
    if base.fewest < _FEWEST_FOR_VARIANCE or (classes is not None and classes.max() == 0):
        return replace(base, problem=f"{base.n} rows do not hold enough of each class to compare")
    sign = 1.0 if better == "higher" else -1.0
    mine = _of_rows(function, by_row, labels, candidate)
    theirs = _of_rows(function, by_row, labels, champion)
    strata = _strata(classes, len(labels))
    generator = np.random.default_rng(seed)
    deltas = np.empty(resamples)
    for number in range(resamples):
        rows = np.concatenate(
            [part[generator.integers(len(part), size=len(part))] for part in strata]
        )
        deltas[number] = sign * (mine(rows) - theirs(rows))
    values = float(function(labels, candidate)), float(function(labels, champion))
    return _with_percentile_bounds(base, values, sign, deltas)


def _counted(metric: str, labels: Array, classes: Array | None, confidence: float) -> Comparison:
    counts = [len(labels)] if classes is None else np.bincount(classes).tolist()
    is_binary = classes is not None and set(np.unique(labels).tolist()) <= {0, 1}
    n_pos = int((labels == 1).sum()) if is_binary else None
    return Comparison(
        metric=metric,
        method="bootstrap",
        confidence=confidence,
        n=len(labels),
        fewest=min(counts, default=0) if n_pos is None else min(n_pos, len(labels) - n_pos),
        n_pos=n_pos,
        n_neg=None if n_pos is None else len(labels) - n_pos,
    )


def _of_rows(
    function: MetricFunction[float], by_row: ByRow | None, labels: Array, scores: Array
) -> Callable[[Array], float]:
    """The metric of some rows, given by number."""
    if by_row is None:
        return lambda rows: function(labels[rows], scores[rows])
    values, of_mean = by_row.values(labels, scores), by_row.of_mean
    return lambda rows: of_mean(float(values[rows].mean()))


def _strata(classes: Array | None, n: int) -> list[Array]:
    if classes is None:
        return [np.arange(n)]
    return [np.flatnonzero(classes == number) for number in range(int(classes.max()) + 1)]


def _with_percentile_bounds(
    base: Comparison, values: tuple[float, float], sign: float, deltas: Array
) -> Comparison:
    alpha = 1 - base.confidence
    shares = (alpha, 1 - alpha, alpha / 2, 1 - alpha / 2)
    lower, upper, low, high = (float(bound) for bound in np.quantile(deltas, shares))
    variance = float(np.var(deltas, ddof=1))
    return replace(
        base,
        candidate=values[0],
        champion=values[1],
        delta=sign * (values[0] - values[1]),
        variance=variance,
        se=variance**0.5,
        lower=lower,
        upper=upper,
        interval_low=low,
        interval_high=high,
    )


def _require_alike(labels: Array, candidate: Array, champion: Array) -> None:
    if not len(labels) == len(candidate) == len(champion):
        raise ValueError("labels and both scores must have one entry a row")
    if candidate.shape != champion.shape:
        raise ValueError(f"scores of shape {candidate.shape} and {champion.shape} do not compare")
    if not (np.isfinite(candidate).all() and np.isfinite(champion).all()):
        raise ValueError("scores must be finite numbers")
