"""Scores of one model on the holdout's rows, and what the checks are given.

Called by ``examination``. The model sees features alone; every metric is computed here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from handlers.checks.context import (
    Array,
    Examined,
    Handle,
    LabelError,
    Task,
    encode_labels,
)
from handlers.checks.drift import DriftLimits
from handlers.checks.environment import installed_here
from handlers.checks.fairness import FairnessLimits
from handlers.checks.latency import LatencyLimits
from handlers.checks.metrics import METRICS, Metric
from handlers.checks.own import find_own
from handlers.checks.quality import Bound, QualityLimits
from handlers.checks.robustness import RobustnessLimits
from handlers.checks.sanity import SanityLimits
from handlers.checks.schema import SchemaLimits
from handlers.checks.suite import Suite
from handlers.holdout import Rows
from steward.errors import PermanentError
from steward.policy import Policy
from steward.policy.examination import Holdout, computed_by
from steward.ports import Column, ModelFacts, SandboxedModel

_TWO = 2
_TIMED_ROWS = 1
_WHOLE = re.compile(r"^(-?\d+)\.0$")


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One model's answers on the holdout. Shapes: n rows; ``scores`` ``(n,)`` or ``(n, k)``.

    ``classes``: as the model names them, in the order of its probabilities; None if unknown.
    """

    handle: Handle
    task: Task
    features: pd.DataFrame
    labels: Array
    scores: Array
    classes: tuple[str, ...] | None = None


def score(policy: Policy, rows: Rows, number: str, model: SandboxedModel) -> Scored:
    """Ask a model for its answers to the holdout.

    Raises:
        PermanentError: the holdout lacks a column of the model, or has labels it cannot know.
        ModelUnfitError: the model fails.

    """
    rules = _holdout(policy)
    features = _features(rows.holdout.frame, rules, model.info)
    classes = _classes(model.info)
    task, labels = labels_of(policy, rows.holdout.frame[rules.label], classes)
    answers = np.asarray(model.predict(features))
    return Scored(handle_of(number, model), task, features, labels, answers, classes)


def handle_of(number: str, model: SandboxedModel) -> Handle:
    """A model as the checks know it; nothing is asked of it yet."""
    return Handle(
        number,
        model.predict,
        lambda frame, rounds: model.time(frame.head(_TIMED_ROWS), rounds=rounds),
        _inputs(model.info),
        model.info.requirements,
        model.info.unpinned,
    )


def examined_of(
    policy: Policy, rows: Rows, model: str, scored: Scored, champion: Scored | None
) -> Examined:
    """What the checks look at."""
    fairness = policy.checks.fairness if policy.checks else None
    attributes = {*_holdout(policy).sensitive, *([fairness.attribute] if fairness else [])}
    frame = rows.holdout.frame
    return Examined(
        model=model,
        task=scored.task,
        candidate=scored.handle,
        champion=champion.handle if champion else None,
        features=scored.features,
        champion_features=champion.features if champion else None,
        labels=scored.labels,
        scores=scored.scores,
        champion_scores=champion.scores if champion and same_classes(scored, champion) else None,
        reference=rows.reference.frame if rows.reference else None,
        sensitive={name: frame[name].tolist() for name in attributes if name in frame.columns},
        running=installed_here(scored.handle.libraries),
    )


def suite_of(policy: Policy) -> Suite:
    """The checks that the policy asks for, with its bounds."""
    checks = policy.checks
    if checks is None:
        return Suite()
    latency, drift, fair, robust = checks.latency, checks.drift, checks.fairness, checks.robustness
    return Suite(
        quality=QualityLimits(
            {name: Bound(limits.min, limits.max) for name, limits in checks.quality.items()}
        ),
        latency=LatencyLimits(latency.ratio_max, latency.p99_ratio_max, latency.p95_ms)
        if latency
        else None,
        sanity=SanityLimits(checks.sanity.leak_at),
        schema=SchemaLimits(is_break_allowed=checks.schema_.breaking == "allow"),
        drift=DriftLimits(psi_max=drift.psi_max, ks_max=drift.ks_max, columns=drift.columns)
        if drift
        else None,
        fairness=FairnessLimits(
            fair.attribute,
            fair.demographic_parity_difference_max,
            fair.equalized_odds_difference_max,
        )
        if fair
        else None,
        robustness=RobustnessLimits(
            robust.noise_sd,
            robust.metric_drop_max,
            flip_rate_max=robust.flip_rate_max,
            missing_drop_max=robust.gaps_metric_drop_max,
        )
        if robust
        else None,
        own=find_own(checks.own),
    )


def same_classes(one: Scored, other: Scored) -> bool:
    """Whether scores mean the same class for both: each encodes the labels by its own classes.

    The labels alone do not tell of a class that the holdout lacks.
    """
    if one.classes is not None and other.classes is not None and one.classes != other.classes:
        return False
    return np.array_equal(one.labels, other.labels)


def metric_of(policy: Policy) -> Metric:
    """What promotion compares by, where it can be computed; else the holdout's metric."""
    when = policy.promote.when
    names = [when.metric] if when else []
    for name in (*names, _holdout(policy).metric):
        declared = policy.metrics.get(name)
        function = computed_by(name, declared.names if declared else ())
        if function is not None:
            return METRICS[function]
    raise PermanentError(f"{_holdout(policy).metric} cannot be computed")


def _holdout(policy: Policy) -> Holdout:
    if policy.checks is None or policy.checks.holdout is None:
        raise PermanentError("the policy names no holdout")
    return policy.checks.holdout


def _features(frame: pd.DataFrame, rules: Holdout, facts: ModelFacts) -> pd.DataFrame:
    """The model's own columns in its order; where it names none, all but label and sensitive."""
    wanted = _named(facts)
    if wanted and all(name in frame.columns for name in wanted):
        return frame[wanted]
    hidden = [column for column in (rules.label, *rules.sensitive) if column in frame.columns]
    rest = frame.drop(columns=hidden)
    lacking = [name for name in wanted if not name.isdigit() and name not in rest.columns]
    if lacking:
        raise PermanentError(f"the holdout has no column {', '.join(lacking[:5])}")
    return rest


def _named(facts: ModelFacts) -> list[str]:
    """The columns of the signature; none where it is an array, whose place is not a column."""
    columns = facts.input_columns or ()
    is_array = any(column == (str(place), "tensor") for place, column in enumerate(columns))
    return [] if is_array else [name for name, _ in columns]


def labels_of(
    policy: Policy, column: pd.Series, classes: Sequence[str] | None
) -> tuple[Task, Array]:
    """The task and the labels as numbers; a model without known classes is asked by its metric.

    PermanentError: no model can have learnt them.
    """
    if classes is None and "regression" in metric_of(policy).tasks:
        return "regression", _numbers(column)
    try:
        distinct = column.nunique()
    except TypeError as error:  # lists, which no table of ours holds and a Parquet file can
        raise PermanentError(f"the labels in {column.name} are no single values") from error
    try:
        if classes is None:
            task: Task = "binary" if distinct <= _TWO else "multiclass"
            return task, encode_labels(column.tolist(), None)
        task = "binary" if len(classes) == _TWO else "multiclass"
        return task, encode_labels([_as_text(label) for label in column.tolist()], classes)
    except LabelError as error:
        raise PermanentError(str(error)) from error


def _numbers(column: pd.Series) -> Array:
    """The true answers of a regression, each a finite number."""
    numbers = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=float)
    if wrong := int((~np.isfinite(numbers)).sum()):
        raise PermanentError(f"{wrong} of {len(numbers)} labels in {column.name} are no numbers")
    return numbers


def _classes(facts: ModelFacts) -> tuple[str, ...] | None:
    """As :func:`_as_text` writes labels: a model that learnt from 0.0 and 1.0 knows 0 and 1."""
    if facts.classes is None:
        return None
    return tuple(_WHOLE.sub(r"\1", name) for name in facts.classes)


def _as_text(label: Any) -> str | None:
    """A label as a model's classes name it: 1.0 of a column with gaps is 1."""
    if label is None or label != label:  # noqa: PLR0124  # NaN alone differs from itself
        return None
    is_whole = isinstance(label, float) and label.is_integer()
    return str(int(label)) if is_whole else str(label)


def _inputs(facts: ModelFacts) -> tuple[Column, ...] | None:
    if facts.input_columns is None:
        return None
    return tuple(
        Column(name, kind, required=name not in facts.optional_columns)
        for name, kind in facts.input_columns
    )
