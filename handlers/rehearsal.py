"""What every judgement by a policy would meet in its rows, told before there is a version.

Called by ``steward policy check``. The rows are found, labelled and checked by what examines a
version; right answers stand in the place of a model's, so that what cannot be made with them cannot
be made for any version. Imports numbers.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from handlers.checks.context import Array, Task
from handlers.checks.suite import Suite, run_suite
from handlers.comparing import compare, score_not_worse
from handlers.conclusion import too_few
from handlers.holdout import NoReferenceError, Rows, find_rows, some_columns
from handlers.scoring import Scored, examined_of, labels_of, score, suite_of
from steward.errors import PermanentError
from steward.events import ModelRef
from steward.policy import Policy
from steward.policy.examination import Holdout
from steward.ports import Datasets, ModelFacts

_NOTHING = Suite(quality=None, sanity=None, determinism=False, schema=None, environment=None)
_NO_MODEL = ModelRef("")
_FACTS = ModelFacts("")
_MOST_CELLS = 20_000_000
"""Rows by classes: right answers for more would take more memory than the rows."""
_FEW_RESAMPLES = 2
"""Whether rows can be compared shows before the first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Right:
    """ports.SandboxedModel that is always right, and takes whatever columns there are."""

    answers: Array

    @property
    def info(self) -> ModelFacts:
        return _FACTS

    def predict(self, features: pd.DataFrame) -> Array:
        return self.answers[: len(features)]

    def time(self, features: pd.DataFrame, *, rounds: int) -> list[float]:
        return [float(len(features))] * rounds


def foreseen(datasets: Datasets, policy: Policy) -> Iterator[str]:
    """Each in a sentence; nothing where the policy names no rows by address.

    TransientError where a store is away.
    """
    rules = policy.checks.holdout if policy.checks else None
    if rules is None or rules.uri is None:
        return
    try:
        rows = find_rows(datasets, rules, _NO_MODEL, None)
    except NoReferenceError as error:
        yield _held(str(error))
        yield from foreseen(datasets, without_reference(policy))
        return
    except PermanentError as error:
        yield _held(str(error))
        return
    yield from _not_hidden(rules, rows)
    try:
        scored = _scored(policy, rules, rows)
    except PermanentError as error:
        yield _held(f"scoring: {error}")
        return
    if scored is not None:
        yield from _unchecked(policy, rows, scored)
        yield from _uncompared(policy, scored)


def without_reference(policy: Policy) -> Policy:
    """The same policy, which drift does not count in: for a reference that is not opened."""
    checks = policy.checks
    if checks is None or checks.holdout is None:
        return policy
    holdout = checks.holdout.model_copy(update={"reference": None})
    return policy.model_copy(update={"checks": checks.model_copy(update={"holdout": holdout})})


def _not_hidden(rules: Holdout, rows: Rows) -> Iterator[str]:
    """A column that no model may see, and that is spelt otherwise, would be seen by models."""
    table = rows.holdout
    gone = [name for name in rules.sensitive if name not in table.frame.columns]
    if gone:
        yield (
            f"checks.holdout.sensitive hides {', '.join(gone)} from models, and {table.name} has "
            f"no such column; it has {some_columns(table)}"
        )


def _scored(policy: Policy, rules: Holdout, rows: Rows) -> Scored | None:
    """Right answers to the rows; None where they would be too many numbers."""
    task, labels = labels_of(policy, rows.holdout.frame[rules.label], None)
    if task == "multiclass" and len(labels) * (int(labels.max()) + 1) > _MOST_CELLS:
        return None
    return score(policy, rows, "", _Right(_right(task, labels)))


def _right(task: Task, labels: Array) -> Array:
    return np.eye(int(labels.max()) + 1)[labels] if task == "multiclass" else labels.astype(float)


def _unchecked(policy: Policy, rows: Rows, scored: Scored) -> Iterator[str]:
    """The checks that rest on the rows, as far as no model is asked, where they cannot be made."""
    asked = suite_of(policy)
    drift = asked.drift if rows.reference else None  # else the run's training data are taken
    suite = replace(_NOTHING, quality=asked.quality, drift=drift, fairness=asked.fairness)
    examined = examined_of(policy, rows, "", scored, None)
    with warnings.catch_warnings(action="ignore"):  # scikit-learn's, of what the results tell
        results = run_suite(examined, suite)
    for result in results:
        told = f"{result.name}: {result.detail}"
        if result.status == "error":
            is_of_column = result.name.startswith("drift.")
            yield _held(told, "that reads the column " if is_of_column else "")
        elif result.status == "skip":
            yield f"a check would be skipped for every version: {told}"


def _uncompared(policy: Policy, scored: Scored) -> Iterator[str]:
    """Where no two versions can be compared on the rows, however they answer."""
    when = policy.promote.when
    if when is None or when.compare == "logged":
        return
    with warnings.catch_warnings(action="ignore"):
        compared = compare(policy, scored, scored, resamples=_FEW_RESAMPLES)
        _, unscored = ({}, {}) if compared.problem else score_not_worse(policy, scored, scored)
    told = [f"{name}: {why}" for name, why in unscored.items()]
    for text in [compared.problem] if compared.problem else told:
        yield f"beside Production every version would be held, as not_comparable: {text}"
    if not compared.problem and (few := too_few(compared)):
        yield f"beside Production no version can be told to be better: {few}"


def _held(told: str, which: str = "") -> str:
    return f"every version {which}would be held, as check_incomplete: {told}"
