"""What the report draws, as small values: points of curves and counts, never a single row.

Made by ``scored`` and ``columns`` while an examination has the scores; kept beside its results
for the report alone, and not journalled. Imports the standard library alone.
"""

from dataclasses import dataclass

Numbers = tuple[float, ...]
DRIFT = "drift."
"""Begins the name of each result of the drift check; then comes the column."""
FEWEST = 10
"""Rows that a point, a bar or a line of a table stands for at least; fewer are left out."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One version's line through ``(x, y)``; ``summary``: the number it comes to, if it has one."""

    version: str
    x: Numbers
    y: Numbers
    summary: float | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """True values of a regression by what one version predicted, in bins of equally many rows.

    ``predicted``: each bin's median; ``low``, ``middle``, ``high``: the 10th, 50th and 90th
    percentile of the true values.
    """

    version: str
    predicted: Numbers
    low: Numbers
    middle: Numbers
    high: Numbers


@dataclass(frozen=True, slots=True)
class Spread:
    """How errors are spread, both versions in the same bins: ``edges`` (n + 1), ``shares`` (n)."""

    edges: Numbers
    shares: tuple[tuple[str, Numbers], ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Of the rows of each true class, the share that one version takes for each class.

    None for a class of which there are too few rows to tell.
    """

    version: str
    classes: tuple[str, ...]
    shares: tuple[Numbers | None, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """One column's values in the reference and now: the share of the rows in each bin.

    ``bins``: the name of each; ``psi``: what the drift check measured.
    """

    column: str
    psi: float
    bins: tuple[str, ...]
    reference: Numbers
    current: Numbers


@dataclass(frozen=True, slots=True)
class Group:
    """How the candidate treats one group of people: of ``n`` rows.

    ``selected``: the share with the positive answer; ``true_positive``, ``false_positive``: of
    those whose label is positive, or negative.
    """

    name: str
    n: int
    selected: float
    true_positive: float
    false_positive: float


@dataclass(frozen=True, slots=True)
class Curves:
    """All of it, candidate first; what could not be drawn, or makes no sense here, is empty.

    ``positives``: the share of positive labels; ``attribute``: whose values the groups are.
    """

    roc: tuple[Curve, ...] = ()
    precision_recall: tuple[Curve, ...] = ()
    calibration: tuple[Curve, ...] = ()
    positives: float | None = None
    confusion: tuple[Confusion, ...] = ()
    fit: tuple[Band, ...] = ()
    residuals: Spread | None = None
    drift: tuple[Histogram, ...] = ()
    attribute: str = ""
    groups: tuple[Group, ...] = ()
