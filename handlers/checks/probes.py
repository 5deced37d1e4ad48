"""Asks the sandboxed model what each check needs, and hands the answers to the check.

Called by the suite. What is missing raises MissingEvidenceError, which the suite turns to an error.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from handlers.checks import CheckResult
from handlers.checks.context import Array, Examined, Handle, MissingEvidenceError
from handlers.checks.determinism import check_determinism
from handlers.checks.drift import DriftLimits, check_drift
from handlers.checks.fairness import FairnessLimits, check_fairness
from handlers.checks.latency import LatencyLimits, Timed, check_latency, measure_in_turns
from handlers.checks.metrics import MAIN, metric_named, predicted_classes
from handlers.checks.quality import QualityLimits, check_quality
from handlers.checks.robustness import (
    RobustnessLimits,
    check_column_order,
    check_drop,
    check_flips,
    noisy,
    reordered,
    with_gaps,
)
from handlers.checks.sanity import SanityLimits, check_sanity
from steward.errors import TransientError

_ROWS_ASKED_AGAIN = 1000
_ROWS_ASKED_ALONE = 20
_UNREAD = "the version does not read this column, which moves none of its answers"
_Value = TypeVar("_Value")


def _needed(value: _Value | None, what: str) -> _Value:
    if value is None:
        raise MissingEvidenceError(f"{what} could not be had")
    return value


def sanity(examined: Examined, limits: SanityLimits) -> tuple[CheckResult, ...]:
    """The candidate's answers on the holdout."""
    scores = _needed(examined.scores, "the version's answers on the holdout")
    return check_sanity(examined.task, examined.labels, scores, limits)


def quality(examined: Examined, limits: QualityLimits) -> tuple[CheckResult, ...]:
    """The candidate's answers on the holdout, against its labels."""
    labels = _needed(examined.labels, "the labels of the holdout")
    scores = _needed(examined.scores, "the version's answers on the holdout")
    return check_quality(examined.task, labels, scores, limits)


def drift(examined: Examined, limits: DriftLimits) -> tuple[CheckResult, ...]:
    """The holdout's features against the reference's."""
    current = _needed(examined.features, "the features of the holdout")
    reference = _needed(examined.reference, "the reference rows")
    if limits.columns is None:  # the reference may also hold the label
        shared = [name for name in reference.columns if name in current.columns]
        return check_drift(reference[shared], current, limits)
    unread = _unread(examined.candidate, limits.columns, reference)
    skipped = tuple(CheckResult(f"drift.{name}", "skip", detail=_UNREAD) for name in unread)
    read = tuple(name for name in limits.columns if name not in unread)
    looked_at = check_drift(reference, current, replace(limits, columns=read)) if read else ()
    return (*skipped, *looked_at)


def _unread(model: Handle, names: Iterable[str], reference: pd.DataFrame) -> list[str]:
    """Columns that there are, and that the model's signature does not name."""
    read = {column.name for column in model.inputs or () if column.type != "tensor"}
    return [name for name in names if read and name not in read and name in reference.columns]


def fairness(examined: Examined, limits: FairnessLimits) -> tuple[CheckResult, ...]:
    """The candidate's decisions on the holdout, by group."""
    if examined.task != "binary":
        raise MissingEvidenceError(f"fairness is measured of two classes, this is {examined.task}")
    labels = _needed(examined.labels, "the labels of the holdout")
    scores = _needed(examined.scores, "the version's answers on the holdout")
    groups = examined.sensitive.get(limits.attribute)
    groups = _needed(groups, f"the column {limits.attribute} of the holdout")
    return check_fairness(labels, predicted_classes(scores), groups, limits)


def determinism(examined: Examined) -> tuple[CheckResult, ...]:
    """The first rows again, and some of them one by one."""
    features = _needed(examined.features, "the features of the holdout")
    rows = features.iloc[:_ROWS_ASKED_AGAIN]
    ask = examined.candidate.predict
    single = [ask(rows.iloc[n : n + 1]) for n in range(min(len(rows), _ROWS_ASKED_ALONE))]
    alone = np.concatenate(single) if single else np.empty(0)
    return check_determinism(ask(rows), ask(rows), alone)


def latency(examined: Examined, limits: LatencyLimits) -> tuple[CheckResult, ...]:
    """Single calls of one row, in turns with the champion."""
    candidate, champion = _timed(examined.candidate, examined.features, "version"), None
    if examined.champion is not None:  # its own columns: the candidate may read others
        champion = _timed(examined.champion, examined.champion_features, "champion")
    return check_latency(*measure_in_turns(candidate, champion, limits.rounds), limits)


def _timed(model: Handle, features: pd.DataFrame | None, who: str) -> Timed:
    stopwatch = _needed(model.time, f"a stopwatch of the {who}")
    row = _needed(features, f"the {who}'s columns of the holdout").iloc[:1]
    return lambda rounds: stopwatch(row, rounds)


def robustness(examined: Examined, limits: RobustnessLimits) -> Iterator[CheckResult]:
    """The holdout's rows again: reordered, noisy, and with gaps where the policy asks."""
    features = _needed(examined.features, "the features of the holdout")
    labels = _needed(examined.labels, "the labels of the holdout")
    scores = _needed(examined.scores, "the version's answers on the holdout")
    metric = _needed(metric_named(limits.metric or MAIN[examined.task]), "the metric")
    ask = examined.candidate.predict
    answers = [ask(noisy(features, limits.noise_sd, seed)) for seed in limits.seeds]
    yield check_drop("noise", metric, labels, scores, answers, limit=limits.metric_drop_max)
    if limits.flip_rate_max is not None and examined.task != "regression":
        yield check_flips("noise", scores, answers, limits.flip_rate_max)
    yield _column_order(examined, features, scores)
    if limits.missing_drop_max is not None:
        frames = [with_gaps(features, limits.missing_share, seed) for seed in limits.seeds]
        answers = [ask(frame) for frame in frames]
        yield check_drop("gaps", metric, labels, scores, answers, limit=limits.missing_drop_max)


def _column_order(examined: Examined, features: pd.DataFrame, scores: Array) -> CheckResult:
    try:
        answer = examined.candidate.predict(reordered(features))
    except TransientError:
        raise
    except Exception as error:  # noqa: BLE001 - to refuse is a good answer, whatever its words
        detail = f"refuses another order: {error}"[:300]
        n, brief = len(scores), "refuses another order"
        return CheckResult("robustness.column_order", "warn", n=n, detail=detail, brief=brief)
    return check_column_order(scores, answer)
