"""Which rows a version is examined on: the policy's, or else those that its run names.

Called by ``examination``. Never the rows that the version was trained on.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from steward.errors import PermanentError
from steward.events import ModelRef
from steward.policy.examination import Holdout
from steward.ports import DatasetInput, Datasets, Table

HOLDOUTS = frozenset({"validation", "test", "eval", "evaluation", "holdout"})
"""Contexts of a run's datasets that it says it did not learn from."""
TRAININGS = frozenset({"train", "training"})
_TOLD = 20


class NoReferenceError(PermanentError):
    """The reference that the policy names cannot be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The holdout and, where it could be had, what drift is measured against."""

    holdout: Table
    reference: Table | None = None


def find_rows(datasets: Datasets, rules: Holdout, model: ModelRef, run_id: str | None) -> Rows:
    """Load the holdout by the policy's address, or by what the run names.

    Raises:
        PermanentError: there is none, it cannot be read, or the version was trained on it.
        NoReferenceError: the policy's reference cannot be read.
        TransientError: a store is away.

    """
    inputs = datasets.of_run(model, run_id) if run_id else []
    uri = rules.uri or _named_by_run(inputs)
    if uri is None:
        raise PermanentError(
            "no holdout: the policy names no uri, and the run has neither a dataset of context "
            "validation, test, eval or holdout that can be loaded nor artifact holdout/*.parquet; "
            "name checks.holdout.uri in the policy, or log one with the run"
        )
    holdout = datasets.load(uri, label=rules.label, sha256=rules.sha256)
    if rules.label not in holdout.frame.columns:
        raise PermanentError(
            f"{holdout.name} has no column {rules.label} (the label); it has "
            f"{some_columns(holdout)}"
        )
    trainings = [one for one in inputs if one.context.lower() in TRAININGS]
    reference = _reference(datasets, rules, trainings)
    _refuse_training_data(holdout, uri, trainings, reference)
    return Rows(holdout, reference)


def some_columns(table: Table) -> str:
    """Its columns by name; of very many the first."""
    names = [str(name) for name in table.frame.columns]
    more = len(names) - _TOLD
    return ", ".join(names[:_TOLD]) + (f" and {more} more" if more > 0 else "")


def _named_by_run(inputs: Iterable[DatasetInput]) -> str | None:
    return next((one.uri for one in inputs if one.uri and one.context.lower() in HOLDOUTS), None)


def _reference(
    datasets: Datasets, rules: Holdout, trainings: Iterable[DatasetInput]
) -> Table | None:
    if rules.reference is not None:
        return _named_by_policy(datasets, rules.reference, rules.label)
    for uri in (one.uri for one in trainings if one.uri):
        try:
            return datasets.load(uri, label=rules.label)
        except PermanentError:
            continue  # what asks for a reference then says that there is none
    return None


def _named_by_policy(datasets: Datasets, uri: str, label: str) -> Table:
    try:
        return datasets.load(uri, label=label)
    except PermanentError as error:
        raise NoReferenceError(
            f"the policy's reference table, which drift is measured against: {error}; put the "
            "table there, correct checks.holdout.reference, or remove it, and the run's training "
            "data are taken"
        ) from error


def _refuse_training_data(
    holdout: Table, uri: str, trainings: Iterable[DatasetInput], reference: Table | None
) -> None:
    """A model is always good on what it has seen. Names may differ, so contents are compared."""
    for used in trainings:
        if used.digest in holdout.digests or used.uri == uri:
            raise PermanentError(
                f"{holdout.name} is the training data of this version (dataset {used.name}, "
                f"digest {used.digest}); a holdout is rows that it did not learn from"
            )
    if reference is not None and reference.sha256 == holdout.sha256:
        raise PermanentError(
            f"{holdout.name} has the content of {reference.name}, which the version was trained "
            "on or which is the policy's reference; a holdout is other rows"
        )
