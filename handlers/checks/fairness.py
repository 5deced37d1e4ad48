"""Does the version treat groups of people alike? fairlearn's two differences, for one attribute.

Called by the suite. Binary classifiers alone: both are about who gets the positive answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

from handlers.checks import CheckResult, Status
from handlers.checks.context import Array

_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "demographic_parity_difference": demographic_parity_difference,
    "equalized_odds_difference": equalized_odds_difference,
}
_TWO = 2


@dataclass(frozen=True, slots=True)
class FairnessLimits:
    """For the groups of ``attribute``: the greatest differences; None: not checked.

    Neither is checked unless asked for, since no model that is any good holds both everywhere.
    Groups under ``min_group`` rows or ``min_per_class`` of a class are left out, and told.
    """

    attribute: str
    demographic_parity_difference_max: float | None = None
    equalized_odds_difference_max: float | None = None
    min_group: int = 50
    min_per_class: int = 10

    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by fairlearn's name of what they bound."""
        both = {
            "demographic_parity_difference": self.demographic_parity_difference_max,
            "equalized_odds_difference": self.equalized_odds_difference_max,
        }
        return {name: bound for name, bound in both.items() if bound is not None}


def check_fairness(
    labels: Array, decided: Array, groups: Sequence[Any], limits: FairnessLimits
) -> tuple[CheckResult, ...]:
    """``labels`` and ``decided``, both ``(n,)`` of 0 and 1; ``groups``: ``(n,)``, each row's group.

    One group is nothing to compare (skip); a row without one, or groups all but one too small, is
    an error: the difference of the others would say nothing of them.
    """
    column = pd.Series(groups).reset_index(drop=True)
    n = len(column)
    if n != len(labels):
        return _all(limits, "error", n, f"{n} groups for {len(labels)} rows")
    if column.isna().any():
        gaps = int(column.isna().sum())
        return _all(limits, "error", n, f"{limits.attribute} is missing in {gaps} of {n} rows")
    if column.nunique() < _TWO:
        return _all(limits, "skip", n, f"{limits.attribute} has one group: nothing to compare")
    small = too_small(labels, column, limits)
    is_kept = (~column.isin(small)).to_numpy()
    if column[is_kept].nunique() < _TWO:
        return _all(limits, "error", n, f"too few rows to compare: {_named(small)}")
    kept = _Counted.of(labels[is_kept], decided[is_kept], column[is_kept])
    return tuple(
        _difference(name, bound, kept, small, limits.attribute)
        for name, bound in limits.bounds().items()
    )


def too_small(labels: Array, column: pd.Series, limits: FairnessLimits) -> list[Any]:
    """Groups too small to tell: one row alone moved equalized odds from 0.01 to 0.54."""
    small = []
    for group, rows in column.groupby(column, observed=True).groups.items():
        positive = int(labels[np.asarray(rows)].sum())
        fewest = min(positive, len(rows) - positive)
        if len(rows) < limits.min_group or fewest < limits.min_per_class:
            small.append(group)
    return small


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """How many rows have each label, decision and group: fairlearn takes 5 s for a million rows.

    With the counts as weights it computes the same, of four lines for each group.
    """

    labels: Array
    decided: Array
    groups: Array
    rows: Array

    @classmethod
    def of(cls, labels: Array, decided: Array, column: pd.Series) -> Self:
        alike = [labels, decided, column.to_numpy()]
        counts = column.groupby(alike, observed=True, sort=False).size()
        each = [counts.index.get_level_values(level).to_numpy() for level in range(len(alike))]
        return cls(each[0], each[1], each[2], counts.to_numpy())


def _difference(
    name: str, bound: float, kept: _Counted, small: list[Any], attribute: str
) -> CheckResult:
    function = _FUNCTIONS[name]
    value = float(
        function(kept.labels, kept.decided, sensitive_features=kept.groups, sample_weight=kept.rows)
    )
    status: Status = "fail" if value > bound else "warn" if small else "pass"
    left_out = f"; left out, too few rows: {_named(small)}" if small else ""
    beyond = f", more than {bound:g}" if status == "fail" else ""
    between = f"between {len(pd.unique(kept.groups))} groups of {attribute}"
    detail = f"differs by {value:.3f} {between}{beyond}{left_out}"
    n = int(kept.rows.sum())
    return CheckResult(f"fairness.{attribute}.{name}", status, value, bound, n, detail)


def _named(groups: list[Any]) -> str:
    return ", ".join(str(group) for group in groups[:5])


def _all(limits: FairnessLimits, status: Status, n: int, detail: str) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult(f"fairness.{limits.attribute}.{name}", status, None, bound, n, detail)
        for name, bound in limits.bounds().items()
    )
