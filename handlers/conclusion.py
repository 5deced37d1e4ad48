"""The rule ``point_and_ci``: rules whether a comparison on the same rows shows a better version.

Called by decisions and by back-tests. Pure, and imports no numbers: ``handlers.comparison``
measures, this module rules.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

Method = Literal["delong", "bootstrap"]
Outcome = Literal["better", "not_better", "inconclusive"]
MIN_PER_CLASS = 50
"""Rows of the rarer class: with fewer nobody can tell which of two versions is better."""
_PLACES = 9


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate and champion measured on the same rows.

    ``delta`` is positive when the candidate is better, also where lower is better; ``variance`` and
    ``se`` are of ``delta``. ``lower`` and ``upper`` are one-sided bounds of ``delta``, each at
    ``confidence``; ``interval_low`` and ``interval_high`` the two-sided interval at the same
    confidence. ``n_pos`` and ``n_neg`` count the two classes, None for other labels; ``fewest``
    counts the rows of the smallest class, or all where there are no classes.

    ``problem`` says why nothing could be measured, and every number of the measuring is then None.
    """

    metric: str
    method: Method
    confidence: float
    n: int
    fewest: int
    n_pos: int | None = None
    n_neg: int | None = None
    candidate: float | None = None
    champion: float | None = None
    delta: float | None = None
    variance: float | None = None
    se: float | None = None
    lower: float | None = None
    upper: float | None = None
    interval_low: float | None = None
    interval_high: float | None = None
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object, for the journal and the report."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the rule says of a comparison, and why, in sentences for people."""

    ruling: Outcome
    reasons: tuple[str, ...]


def conclude(
    comparison: Comparison,
    margin: Decimal | float,
    confidence: float,
    max_se: Decimal | float | None = None,
    min_per_class: int = MIN_PER_CLASS,
) -> Conclusion:
    """Better, not better, or too little to tell.

    Better: the difference, rounded to nine places, reaches ``margin`` (inclusive, as decimals, so
    0.82 beats 0.80 by 0.02), its one-sided lower bound at ``confidence`` is above zero, and each
    class has ``min_per_class`` rows. Its standard error is at most ``max_se`` (half the margin;
    without a positive margin, any), or else the lower bound itself reaches the margin. Not better:
    it plainly falls short. Else inconclusive.

    Raises ValueError where the comparison was made at another confidence.
    """
    if comparison.confidence != confidence:
        raise ValueError(f"compared at confidence {comparison.confidence}, asked for {confidence}")
    wanted = _decimal(margin)
    measured = _measured(comparison)
    if measured is None:
        return Conclusion("inconclusive", (comparison.problem or "nothing was measured",))
    delta, lower, se = measured.delta, measured.lower, measured.se
    allowed = None if lower >= wanted else _allowed(wanted, max_se)
    if delta == 0 and se == 0:
        return Conclusion("not_better", ("no difference: both rank every row alike",))
    doubts = tuple(_doubts(comparison, se, allowed, min_per_class))
    if doubts:
        return _doubtful(comparison, measured, wanted, doubts, min_per_class)
    if delta < wanted:
        return Conclusion("not_better", (f"{_told(delta)}, needs {wanted}",))
    if lower <= 0:
        reason = f"{_told(delta)}, but its lower bound at {confidence:g} is {lower}, not above 0"
        return Conclusion("inconclusive", (reason,))
    return Conclusion("better", (f"{_told(delta)}, needs {wanted}; lower bound {lower}",))


@dataclass(frozen=True, slots=True)
class _Measured:
    delta: Decimal
    lower: Decimal
    upper: Decimal
    se: Decimal


def _measured(comparison: Comparison) -> _Measured | None:
    numbers = (comparison.delta, comparison.lower, comparison.upper, comparison.se)
    delta, lower, upper, se = numbers
    if comparison.problem or delta is None or lower is None or upper is None or se is None:
        return None
    exact = [_decimal(round(number, _PLACES)) for number in (delta, lower, upper, se)]
    return _Measured(*exact) if all(number.is_finite() for number in exact) else None


def _decimal(number: Decimal | float) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(str(number))


def _allowed(margin: Decimal, max_se: Decimal | float | None) -> Decimal | None:
    if max_se is not None:
        return _decimal(max_se)
    return margin / 2 if margin > 0 else None


def _doubts(
    comparison: Comparison, se: Decimal, allowed: Decimal | None, min_per_class: int
) -> Iterator[str]:
    if few := too_few(comparison, min_per_class):
        yield few
    if allowed is not None and se > allowed:
        yield f"too uncertain to tell: standard error {se}, at most {allowed}"
    if se == 0:
        yield "the standard error is 0 although the two differ: the rows do not tell how certain"


def too_few(comparison: Comparison, min_per_class: int = MIN_PER_CLASS) -> str:
    """Why its rows are too few for any conclusion, in words; empty if they are enough."""
    if comparison.fewest >= min_per_class:
        return ""
    return f"too few rows to tell: {_counted(comparison)}, needs {min_per_class}"


def _counted(comparison: Comparison) -> str:
    if comparison.n_pos is None or comparison.n_neg is None:
        return f"{comparison.fewest} in the smallest class"
    return f"{comparison.n_pos} positive and {comparison.n_neg} negative"


def _doubtful(
    comparison: Comparison,
    measured: _Measured,
    margin: Decimal,
    doubts: tuple[str, ...],
    min_per_class: int,
) -> Conclusion:
    """An uncertain difference can still be plainly below the margin: no person need look at it."""
    is_plain = comparison.fewest >= min_per_class and measured.upper < min(margin, Decimal(0))
    if is_plain and measured.se > 0:
        least = f"by at least {-measured.upper} at {comparison.confidence:g}"
        return Conclusion("not_better", (f"{_told(measured.delta)}, {least}",))
    return Conclusion("inconclusive", (f"{_told(measured.delta)}, but not for sure", *doubts))


def _told(delta: Decimal) -> str:
    return f"worse by {-delta}" if delta < 0 else f"better by {delta}"
