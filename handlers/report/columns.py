"""How columns of the holdout moved, and how groups of people fare: counts alone, no row.

Called by ``examination`` while it has the rows.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
from fairlearn.metrics import false_positive_rate, selection_rate, true_positive_rate

from handlers.checks import CheckResult
from handlers.checks.context import Array, Examined
from handlers.checks.drift import is_numeric
from handlers.checks.fairness import FairnessLimits, too_small
from handlers.checks.metrics import predicted_classes
from handlers.report.attempts import attempted
from handlers.report.curves import DRIFT, FEWEST, Group, Histogram, Numbers

MOST_COLUMNS = 4
MOST_LEVELS = 9
MOST_GROUPS = 20
MOST_DISTINCT = 50
"""Values of a column whose values are named; more of them may be names of people."""
_BINS = 10
_OUTER = (1.0, 99.0)
_THOUSAND, _BILLION = 1e3, 1e9


def histograms_of(examined: Examined, results: Iterable[CheckResult]) -> tuple[Histogram, ...]:
    """The columns that drifted most, as the checks measured: the reference against now.

    Without those of ``holdout.sensitive``, and those of which nothing may be named.
    """
    reference, current = examined.reference, examined.features
    if reference is None or current is None:
        return ()
    moved = [
        (result.value, name)
        for result in results
        if result.name.startswith(DRIFT) and result.value is not None
        if (name := result.name.removeprefix(DRIFT)) not in examined.sensitive
    ]
    drawn = (
        attempted("drift", partial(_histogram, name, psi, reference, current), None)
        for psi, name in sorted(moved, key=lambda one: -one[0])
    )
    return tuple(islice((one for one in drawn if one is not None), MOST_COLUMNS))


def _histogram(
    name: str, psi: float, reference: pd.DataFrame, current: pd.DataFrame
) -> Histogram | None:
    before, after = reference[name], current[name]
    if is_numeric(before) and is_numeric(after) and before.nunique() > _BINS:
        bins, counts = _of_numbers(before, after)
    else:
        bins, counts = _of_levels(before, after)
    rows = (len(before), len(after))
    shares = [_shares(each, n) for each, n in zip(counts, rows, strict=True)]
    return Histogram(name, psi, tuple(bins), *shares) if len(bins) > 1 else None


def _of_numbers(before: pd.Series, after: pd.Series) -> tuple[list[str], list[list[int]]]:
    """Ten bins of equal width without the outermost hundredths, which the end bins take in."""
    columns = [each.to_numpy(dtype=float, na_value=np.nan) for each in (before, after)]
    known = [each[np.isfinite(each)] for each in columns]
    low, high = np.percentile(np.concatenate(known), _OUTER)
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    counts = [np.histogram(np.clip(each, low, high), edges)[0].tolist() for each in known]
    middles = [_short(middle) for middle in (edges[:-1] + edges[1:]) / 2]
    gaps = [len(each) - len(there) for each, there in zip(columns, known, strict=True)]
    return _with_others(middles, counts, "missing", gaps)


def _short(value: float) -> str:
    """A number with three digits, thousands without an exponent."""
    return f"{value:,.0f}" if _THOUSAND <= abs(value) < _BILLION else f"{value:.3g}"


def _of_levels(before: pd.Series, after: pd.Series) -> tuple[list[str], list[list[int]]]:
    """The commonest values by name, all others together.

    A value is named where ten rows of each table have it; rarer ones are among the others.
    One that a table lacks is named for the other: that it is gone speaks of no row.
    """
    tallies = [each.dropna().value_counts() for each in (before, after)]
    both = pd.concat(tallies, axis=1, keys=range(len(tallies))).fillna(0)
    both = both[both.any(axis=1)]
    is_told = ((both == 0) | (both >= FEWEST)).all(axis=1)
    told = both[is_told].sum(axis=1).sort_values(ascending=False, kind="stable")
    named = list(told.index[:MOST_LEVELS]) if len(both) <= MOST_DISTINCT else []
    counts = [[int(tally.get(level, 0)) for level in named] for tally in tallies]
    others = [int(tally.sum()) - sum(row) for tally, row in zip(tallies, counts, strict=True)]
    bins, counts = _with_others([str(level) for level in named], counts, "others", others)
    gaps = [int(each.isna().sum()) for each in (before, after)]
    return _with_others(bins, counts, "missing", gaps)


def _with_others(
    bins: list[str], counts: list[list[int]], name: str, more: Sequence[int]
) -> tuple[list[str], list[list[int]]]:
    if not any(more):
        return bins, counts
    return [*bins, name], [[*row, extra] for row, extra in zip(counts, more, strict=True)]


def _shares(counts: Sequence[int], rows: int) -> Numbers:
    """Of all rows of a table; nothing for a bin that has few of them."""
    return tuple(count / rows if count >= FEWEST else 0.0 for count in counts)


def groups_of(examined: Examined, limits: FairnessLimits | None) -> tuple[Group, ...]:
    """Each group's rates, where fairness was checked; groups that are too small are left out."""
    if limits is None or examined.task != "binary" or examined.scores is None:
        return ()
    labels, groups = examined.labels, examined.sensitive.get(limits.attribute)
    if labels is None or groups is None:
        return ()
    column = pd.Series(groups).reset_index(drop=True)
    if column.isna().any():
        return ()
    is_kept = (~column.isin(too_small(labels, column, limits))).to_numpy()
    return _rates(labels[is_kept], predicted_classes(examined.scores)[is_kept], column[is_kept])


def _rates(labels: Array, decided: Array, column: pd.Series) -> tuple[Group, ...]:
    """The largest groups, each alone: fairlearn's MetricFrame takes 10 s for a million rows."""
    rows = column.reset_index(drop=True).groupby(column.to_numpy(), observed=True).indices
    largest = sorted(rows.items(), key=lambda group: -len(group[1]))[:MOST_GROUPS]
    return tuple(_group(str(name), labels[mine], decided[mine]) for name, mine in largest)


def _group(name: str, labels: Array, decided: Array) -> Group:
    return Group(
        name,
        len(labels),
        float(selection_rate(labels, decided)),
        float(true_positive_rate(labels, decided)),
        float(false_positive_rate(labels, decided)),
    )
