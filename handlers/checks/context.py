"""What the checks may look at: one version, its scores on the holdout, and the champion's.

Made by the examination, which has the sandbox and the data; read by every check, also by own ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from steward.ports import Column

Task = Literal["binary", "multiclass", "regression"]
Array = npt.NDArray[Any]
Predict = Callable[[pd.DataFrame], Array]
Stopwatch = Callable[[pd.DataFrame, int], Sequence[float]]


class LabelError(ValueError):
    """The holdout has labels that the model cannot have learnt, or none at all."""


class MissingEvidenceError(ValueError):
    """A check needs what the examination could not get."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A loaded model, in its sandbox.

    ``predict``: frame of n rows -> float64, ``(n,)`` of values or of P(positive class), ``(n, k)``
    of probabilities for more classes than two; ``time``: (frame, rounds) -> milliseconds of each
    single call; ``inputs``: its signature, None without one; ``libraries``: name -> version that it
    was made with; ``unpinned``: libraries that it requires in whatever version.
    """

    version: str
    predict: Predict
    time: Stopwatch | None = None
    inputs: tuple[Column, ...] | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    unpinned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """One version under examination. None is "could not be had", never "is fine".

    ``features``: the candidate's columns of the holdout, and ``champion_features``: the champion's,
    of the same rows; ``labels``: ``(n,)``, classes as numbers 0 to k-1 (see ``encode_labels``), 1
    is the positive one; ``scores`` and ``champion_scores``: what each ``predict`` answered on its
    own columns; ``reference``: every column of the candidate's training data, or of what drift is
    measured against;
    ``sensitive``: attribute -> ``(n,)``, the groups of fairness, which need not be features;
    ``running``: name -> version of the libraries here.
    """

    model: str
    task: Task
    candidate: Handle
    champion: Handle | None = None
    features: pd.DataFrame | None = None
    champion_features: pd.DataFrame | None = None
    labels: Array | None = None
    scores: Array | None = None
    champion_scores: Array | None = None
    reference: pd.DataFrame | None = None
    sensitive: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)


def encode_labels(labels: Sequence[Any] | Array, classes: Sequence[Any] | None) -> Array:
    """Labels ``(n,)`` as numbers 0 to k-1, in the order of the model's ``classes``.

    Without ``classes`` they are the labels found, sorted, as scikit-learn does. Raises LabelError
    where a label is missing or is none of the classes, or where they have no order.
    """
    column = pd.Series(labels)
    if column.isna().any():
        raise LabelError(f"{int(column.isna().sum())} of {len(column)} labels are missing")
    order = _sorted(column) if classes is None else list(classes)
    numbers = column.map({label: number for number, label in enumerate(order)})
    if numbers.isna().any():
        unknown = sorted({str(label) for label in column[numbers.isna()]})[:5]
        raise LabelError(f"labels that are no class of the model: {', '.join(unknown)}")
    return np.asarray(numbers, dtype=np.int64)


def _sorted(column: pd.Series) -> list[Any]:
    try:
        return sorted(column.unique())
    except TypeError as error:  # such as words among numbers
        raise LabelError(f"the labels are of several types: {error}") from error
