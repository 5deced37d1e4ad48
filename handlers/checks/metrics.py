"""The metrics of a holdout, by scikit-learn's names and functions.

Quality, sanity and robustness measure with them, and so does the paired bootstrap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from handlers.checks.context import Task
from handlers.comparison import ByRow
from steward.policy.examination import computable

Array = npt.NDArray[Any]
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: ``function(labels, scores)`` on what a model answers, see ``Handle.predict``.

    ``by_row``: the same, where it is a function of a mean over rows.
    """

    name: str
    better: Literal["higher", "lower"]
    tasks: frozenset[Task]
    function: Callable[[Array, Array], float]
    by_row: ByRow | None = None


def predicted_classes(scores: Array) -> Array:
    """The class that a model decides for: above one half of two, the likeliest of more."""
    if scores.ndim == 1:
        return (scores >= _HALF).astype(np.int64)
    return np.asarray(np.argmax(scores, axis=1))


def _average(scores: Array) -> str:
    return "binary" if scores.ndim == 1 else "macro"


def _roc_auc(labels: Array, scores: Array) -> float:
    if scores.ndim == 1:
        return float(metrics.roc_auc_score(labels, scores))
    return float(metrics.roc_auc_score(labels, scores, multi_class="ovr", average="macro"))


def _log_loss(labels: Array, scores: Array) -> float:
    classes = [0, 1] if scores.ndim == 1 else list(range(scores.shape[1]))
    return float(metrics.log_loss(labels, scores, labels=classes))


def _brier_score(labels: Array, scores: Array) -> float:
    return float(metrics.brier_score_loss(labels, scores))


def _average_precision(labels: Array, scores: Array) -> float:
    return float(metrics.average_precision_score(labels, scores))


def _accuracy(labels: Array, scores: Array) -> float:
    return float(metrics.accuracy_score(labels, predicted_classes(scores)))


def _f1(labels: Array, scores: Array) -> float:
    classes = predicted_classes(scores)
    return float(metrics.f1_score(labels, classes, average=_average(scores), zero_division=0.0))


def _rmse(labels: Array, scores: Array) -> float:
    return float(metrics.root_mean_squared_error(labels, scores))


def _r2(labels: Array, scores: Array) -> float:
    return float(metrics.r2_score(labels, scores))


def _row_log_loss(labels: Array, scores: Array) -> Array:
    if scores.ndim == 1:
        likely = np.where(labels == 1, scores, 1 - scores)
    else:
        likely = scores[np.arange(len(labels)), labels]
    smallest = np.finfo(scores.dtype).eps  # as scikit-learn clips
    return np.asarray(-np.log(np.clip(likely, smallest, 1 - smallest)))


def _row_squared_error(labels: Array, scores: Array) -> Array:
    return np.asarray((labels - scores) ** 2)


def _row_accuracy(labels: Array, scores: Array) -> Array:
    return np.asarray(labels == predicted_classes(scores), dtype=float)


_BINARY: frozenset[Task] = frozenset({"binary"})
_CLASSES: frozenset[Task] = frozenset({"binary", "multiclass"})
_VALUES: frozenset[Task] = frozenset({"regression"})

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", "higher", _CLASSES, _roc_auc),
        Metric("log_loss", "lower", _CLASSES, _log_loss, ByRow(_row_log_loss)),
        Metric("brier_score", "lower", _BINARY, _brier_score, ByRow(_row_squared_error)),
        Metric("average_precision", "higher", _BINARY, _average_precision),
        Metric("accuracy", "higher", _CLASSES, _accuracy, ByRow(_row_accuracy)),
        Metric("f1", "higher", _CLASSES, _f1),
        Metric("root_mean_squared_error", "lower", _VALUES, _rmse, ByRow(_row_squared_error, sqrt)),
        Metric("r2", "higher", _VALUES, _r2),
    )
}
"""By scikit-learn's names of scorers, without its ``neg_``; in the order of the report."""


def metric_named(name: str) -> Metric | None:
    """The metric of a name, also by what else the policy may call it: ``auc``; None if unknown."""
    return METRICS.get(computable(name) or "")


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Every metric that makes sense for a task, in the order of the report."""
    return tuple(metric for metric in METRICS.values() if task in metric.tasks)


MAIN: Mapping[Task, str] = {"binary": "roc_auc", "multiclass": "roc_auc", "regression": "r2"}
"""The metric that the leak alarm and robustness look at where the policy names none."""
