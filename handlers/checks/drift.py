"""Do the rows of today look like those the version was trained on? PSI and KS D, per column.

Called by the suite. It speaks of the data, not of the model: it says whether the holdout's
numbers can be expected to hold.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from handlers.checks import CheckResult, Status
from handlers.checks.context import Array

_BINS = 10
_SMOOTHING = 0.5


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """PSI above ``psi_max`` or D above ``ks_max`` fails; ``psi_warn`` and ``ks_warn`` warn."""

    psi_max: float = 0.2
    psi_warn: float = 0.1
    ks_max: float | None = None
    ks_warn: float = 0.1
    min_rows: int = 500
    columns: tuple[str, ...] | None = None  # None: all that both have


def check_drift(
    reference: pd.DataFrame, current: pd.DataFrame, limits: DriftLimits
) -> tuple[CheckResult, ...]:
    """One result a column of ``reference``, named ``drift.<column>``, and its PSI as the value."""
    columns = [str(column) for column in reference.columns]
    wanted = list(limits.columns) if limits.columns is not None else columns
    if not wanted:
        return (CheckResult("drift", "error", detail="the reference has no columns"),)
    n = min(len(reference), len(current))
    if n < limits.min_rows:
        detail = f"{n} rows, needs {limits.min_rows}: with fewer, no drift looks like drift"
        return (CheckResult("drift", "skip", n=n, detail=detail),)
    return tuple(_column(name, reference, current, limits) for name in wanted)


def _column(
    name: str, reference: pd.DataFrame, current: pd.DataFrame, limits: DriftLimits
) -> CheckResult:
    where = [word for word, frame in _sides(reference, current) if name not in frame.columns]
    if where:
        return CheckResult(f"drift.{name}", "error", detail=f"is missing in the {where[0]} rows")
    before, after = reference[name], current[name]
    n = min(len(before), len(after))
    if not is_numeric(before):
        psi = psi_of_levels(before, after)
        return _judged(name, psi, None, n, limits)
    if not is_numeric(after):
        detail = f"held numbers, now holds {after.dtype}"
        return CheckResult(f"drift.{name}", "error", n=n, detail=detail)
    numbers = before.to_numpy(dtype=float, na_value=np.nan)
    today = after.to_numpy(dtype=float, na_value=np.nan)
    return _judged(name, psi_of_numbers(numbers, today), ks_distance(numbers, today), n, limits)


def _sides(
    reference: pd.DataFrame, current: pd.DataFrame
) -> tuple[tuple[str, pd.DataFrame], tuple[str, pd.DataFrame]]:
    return ("reference", reference), ("current", current)


def is_numeric(column: pd.Series) -> bool:
    """Whether it is compared as numbers; else by level."""
    is_number = pd.api.types.is_numeric_dtype(column)
    return bool(is_number) and not pd.api.types.is_bool_dtype(column)


def psi_of_numbers(reference: Array, current: Array) -> float:
    """PSI of two samples ``(n,)``, ``(m,)`` in ten bins at the reference's quantiles.

    Missing values are a bin of their own. A column of ten values or fewer is compared value by
    value, as quantiles of it would fall together.
    """
    known = reference[~np.isnan(reference)]
    if len(np.unique(known)) <= _BINS:
        return psi_of_levels(pd.Series(reference), pd.Series(current))
    edges = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS))
    return psi_of_counts(_binned(reference, edges), _binned(current, edges))


def _binned(values: Array, edges: Array) -> Array:
    is_missing = np.isnan(values)
    bins = np.searchsorted(edges, values[~is_missing], side="left")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    return np.append(counts, is_missing.sum())


def psi_of_levels(reference: pd.Series, current: pd.Series) -> float:
    """PSI by level; levels that the reference lacks count together as unseen, gaps as missing."""
    before, after = (column.dropna().value_counts() for column in (reference, current))
    unseen = sum(int(count) for level, count in after.items() if level not in before.index)
    counts_before = [int(count) for count in before]
    counts_after = [int(after.get(level, 0)) for level in before.index]
    gaps = [int(column.isna().sum()) for column in (reference, current)]
    return psi_of_counts(
        np.array([*counts_before, 0, gaps[0]]), np.array([*counts_after, unseen, gaps[1]])
    )


def psi_of_counts(reference: Array, current: Array) -> float:
    """Population stability index of two histograms ``(bins,)``, one half added to every bin.

    The symmetric Kullback-Leibler divergence (Jeffreys, 1946); as PSI: Siddiqi, Credit Risk
    Scorecards (2006). Bins that both leave empty count for nothing.
    """
    is_used = (reference + current) > 0
    before, after = reference[is_used] + _SMOOTHING, current[is_used] + _SMOOTHING
    shares, shares_now = before / before.sum(), after / after.sum()
    return float(np.sum((shares_now - shares) * np.log(shares_now / shares)))


def ks_distance(reference: Array, current: Array) -> float | None:
    """Kolmogorov and Smirnov's D: the greatest gap between the two distribution functions.

    D and not its p-value: with many rows every difference is significant. None without values.
    """
    known, today = reference[~np.isnan(reference)], current[~np.isnan(current)]
    if len(known) == 0 or len(today) == 0:
        return None
    return float(ks_2samp(known, today, method="asymp").statistic)


def _judged(
    name: str, psi: float, distance: float | None, n: int, limits: DriftLimits
) -> CheckResult:
    status: Status = "pass"
    if psi > limits.psi_warn or (distance is not None and distance > limits.ks_warn):
        status = "warn"
    told = [_told("PSI", psi, limits.psi_max)]
    if distance is not None:
        told.append(_told("D", distance, limits.ks_max))
    if any(is_beyond for _, is_beyond in told):
        status = "fail"
    detail = ", ".join(text for text, _ in told)
    numbers = {} if distance is None else {"ks_d": distance}
    return CheckResult(f"drift.{name}", status, psi, limits.psi_max, n, detail, numbers=numbers)


def _told(word: str, value: float, limit: float | None) -> tuple[str, bool]:
    """The measure in words, and whether it is beyond its limit."""
    if limit is None or value <= limit:
        return f"{word} {value:.3f}", False
    return f"{word} {value:.3f} (more than {limit:g})", True
