"""Curves of what candidate and champion answered on the holdout; scikit-learn computes them.

Called by ``examination`` while it has the scores. A curve of a million rows keeps 500 points.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    roc_curve,
)

from handlers.checks.context import Array, Examined
from handlers.checks.metrics import predicted_classes
from handlers.report.attempts import attempted
from handlers.report.curves import FEWEST, Band, Confusion, Curve, Curves, Numbers, Spread

MOST_POINTS = 500
MOST_CLASSES = 12
_ROWS_FOR_A_BIN = 20
_CALIBRATION_BINS = 10
_FIT_BINS = 20
_RESIDUAL_BINS = 40
_OUTER = (1.0, 99.0)
_TWO = 2
_Drawn = TypeVar("_Drawn")
_Side = tuple[str, Array]


def curves_of_scores(examined: Examined, classes: Sequence[str] | None = None) -> Curves:
    """Everything that can be drawn of the scores; ``classes``: the candidate's, by name."""
    labels, sides = examined.labels, list(_sides(examined))
    if labels is None or not sides:
        return Curves()
    if examined.task == "regression":
        return Curves(
            fit=_each("fit", partial(_band, labels), sides),
            residuals=attempted("residuals", lambda: _spread(labels, sides), None),
        )
    calibration = _each("calibration", partial(_calibration, labels), sides)
    if examined.task == "multiclass":
        confusion = _each("confusion", partial(_confusion, labels, classes), sides[:1])
        return Curves(calibration=calibration, confusion=confusion)
    return Curves(
        roc=_each("roc", partial(_roc, labels), sides),
        precision_recall=_each("precision_recall", partial(_precision_recall, labels), sides),
        calibration=calibration,
        positives=float(labels.mean()),
    )


def _sides(examined: Examined) -> Iterator[_Side]:
    """Version and scores of each that answered with numbers alone."""
    champion = examined.champion
    for version, scores in (
        (examined.candidate.version, examined.scores),
        (champion.version if champion else "", examined.champion_scores),
    ):
        if scores is not None and len(scores) and np.isfinite(scores).all():
            yield version, scores


def _each(
    part: str, draw: Callable[[_Side], _Drawn | None], sides: Sequence[_Side]
) -> tuple[_Drawn, ...]:
    drawn = (attempted(part, partial(draw, side), None) for side in sides)
    return tuple(one for one in drawn if one is not None)


def _roc(labels: Array, side: _Side) -> Curve | None:
    version, scores = side
    if len(np.unique(labels)) < _TWO:
        return None
    false_positive, true_positive, _ = roc_curve(labels, scores)
    area = float(auc(false_positive, true_positive))
    return Curve(version, *_thinned(false_positive, true_positive), area)


def _precision_recall(labels: Array, side: _Side) -> Curve | None:
    version, scores = side
    if not labels.any():
        return None
    precision, recall, _ = precision_recall_curve(labels, scores)
    average = float(average_precision_score(labels, scores))
    return Curve(version, *_thinned(recall[::-1], precision[::-1]), average)


def _thinned(x: Array, y: Array) -> tuple[Numbers, Numbers]:
    """At most 500 of the points, as far from each other along the curve; its ends among them."""
    if len(x) > MOST_POINTS:
        along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        wanted = np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS - 1))
        chosen = np.unique(np.append(wanted, len(x) - 1))
        x, y = x[chosen], y[chosen]
    return _numbers(x), _numbers(y)


def _calibration(labels: Array, side: _Side) -> Curve | None:
    """What share came true of what was said to be so likely, in bins of as many rows.

    Of more classes than two: how often the likeliest was right, by how likely it was said to be.
    """
    version, scores = side
    likely, came_true = scores, labels
    if scores.ndim == _TWO:
        likely, came_true = scores.max(axis=1), (predicted_classes(scores) == labels).astype(int)
    bins = min(_CALIBRATION_BINS, len(likely) // _ROWS_FOR_A_BIN)
    if bins == 0 or likely.min() < 0 or likely.max() > 1:
        return None  # too few rows, or no probabilities
    observed, predicted = calibration_curve(came_true, likely, n_bins=bins, strategy="quantile")
    cuts = np.percentile(likely, np.linspace(0, 1, bins + 1) * 100)[1:-1]  # as scikit-learn cuts
    rows = np.bincount(np.searchsorted(cuts, likely), minlength=bins)
    is_kept = rows[rows > 0] >= FEWEST
    return Curve(version, _numbers(predicted[is_kept]), _numbers(observed[is_kept]))


def _confusion(labels: Array, classes: Sequence[str] | None, side: _Side) -> Confusion | None:
    version, scores = side
    count = scores.shape[1] if scores.ndim == _TWO else 0
    if not 0 < count <= MOST_CLASSES:
        return None
    names = classes if classes and len(classes) == count else [str(n) for n in range(count)]
    counts = confusion_matrix(labels, predicted_classes(scores), labels=list(range(count)))
    shares = (_numbers(row / row.sum()) if row.sum() >= FEWEST else None for row in counts)
    return Confusion(version, tuple(names), tuple(shares))


def _band(labels: Array, side: _Side) -> Band | None:
    version, scores = side
    bins = min(_FIT_BINS, len(scores) // _ROWS_FOR_A_BIN)
    if bins == 0:
        return None
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    percentiles = np.array([np.percentile(labels[part], (10, 50, 90)) for part in parts])
    predicted = np.array([np.median(scores[part]) for part in parts])
    return Band(version, _numbers(predicted), *(_numbers(column) for column in percentiles.T))


def _spread(labels: Array, sides: Sequence[_Side]) -> Spread | None:
    """Predicted minus true; the outermost bins hold whatever lies beyond, bins of few rows none."""
    if len(labels) < _ROWS_FOR_A_BIN:
        return None
    errors = [(version, scores - labels) for version, scores in sides]
    low, high = np.percentile(np.concatenate([each for _, each in errors]), _OUTER)
    if low == high:
        low, high = low - 0.5, high + 0.5
    bins = min(_RESIDUAL_BINS, len(labels) // _ROWS_FOR_A_BIN)
    edges = np.linspace(low, high, bins + 1)
    counts = [np.histogram(np.clip(each, low, high), edges)[0] for _, each in errors]
    shares = (_numbers(np.where(each >= FEWEST, each, 0) / len(labels)) for each in counts)
    return Spread(_numbers(edges), tuple(zip((name for name, _ in sides), shares, strict=True)))


def _numbers(values: Array) -> Numbers:
    return tuple(float(value) for value in values)
