"""The plots of the data: what drifted, and how groups of people fare. Called by ``page``."""

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.axes import Axes

from handlers.checks import CheckResult
from handlers.report.canvas import (
    ABOVE,
    CANDIDATE,
    CHAMPION,
    MUTED,
    PALE,
    Plot,
    drawn,
    drawn_beside,
    tick,
)
from handlers.report.curves import DRIFT, Curves, Group, Histogram

MOST_BARS = 20
_LINE, _AROUND = 0.24, 1.1


def plots_of_drift(
    results: Sequence[CheckResult], curves: Curves, ks_max: float | None
) -> list[Callable[[], Plot]]:
    """How to make each plot: the measures of every column, and the columns that moved most."""
    moved = sorted(
        (one for one in results if one.name.startswith(DRIFT) and one.value is not None),
        key=lambda one: -(one.value or 0.0),
    )
    makers = [partial(_measures, moved, ks_max)] if moved else []
    return [*makers, *(partial(_histogram, found) for found in curves.drift)]


def plots_of_groups(curves: Curves) -> list[Callable[[], Plot]]:
    """How to make the plot of the groups, if there are any."""
    return [partial(_groups, curves.groups, curves.attribute)] if curves.groups else []


def _measures(moved: Sequence[CheckResult], ks_max: float | None) -> Plot:
    shown = moved[:MOST_BARS]
    names = [tick(one.name.removeprefix(DRIFT)) for one in shown]
    psi_max = next((one.threshold for one in shown if one.threshold is not None), None)

    def paint(values: Sequence[float], limit: float | None, label: str, axes: Axes) -> None:
        places = range(len(shown))
        axes.barh(places, values, color=CANDIDATE, height=0.65)
        if limit is not None:
            axes.axvline(limit, color=CHAMPION, linestyle="--")
        axes.set_yticks(places, names)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(label)

    psi = [one.value or 0.0 for one in shown]
    distance = [one.numbers.get("ks_d", 0.0) for one in shown]
    paints = [partial(paint, psi, psi_max, "PSI"), partial(paint, distance, ks_max, "KS distance")]
    more = f" The {len(shown)} of {len(moved)} that moved most." if len(moved) > len(shown) else ""
    told = ", ".join(f"{name} {value:.3g}" for name, value in zip(names, psi, strict=True))
    return Plot(
        "Drift of each column",
        "How far the holdout is from the reference: 0 is alike. Beyond the dashed line the check "
        f"fails; a column without numbers has no KS distance.{more}",
        f"PSI of each column: {told}.",
        drawn_beside(paints, height=_AROUND + _LINE * len(shown)),
    )


def _histogram(found: Histogram) -> Plot:
    places = range(len(found.bins))
    names = [tick(name) for name in found.bins]

    def paint(axes: Axes) -> None:
        for shares, shift, colour, label in (
            (found.reference, -0.2, PALE, "reference"),
            (found.current, 0.2, CANDIDATE, "holdout"),
        ):
            axes.bar([place + shift for place in places], shares, 0.4, color=colour, label=label)
        axes.set_xticks(places, names, rotation=45, ha="right")
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("share of the rows")
        axes.legend(**ABOVE)

    moved = max(places, key=lambda place: abs(found.current[place] - found.reference[place]))
    return Plot(
        f"{tick(found.column)}: reference and holdout",
        "The share of the rows with values about so large, or with this value; bars of equal "
        "height are alike. The outermost bins of numbers hold all that lies beyond; bins of fewer "
        "than ten rows are left empty.",
        f"PSI {found.psi:.3g}. The greatest change is at {names[moved]}: from "
        f"{found.reference[moved]:.1%} to {found.current[moved]:.1%}.",
        drawn(paint),
    )


def _groups(groups: Sequence[Group], attribute: str) -> Plot:
    places = range(len(groups))

    def paint(axes: Axes) -> None:
        for values, marker, colour, label in (
            ([one.selected for one in groups], "o", CANDIDATE, "selected"),
            ([one.true_positive for one in groups], "^", CHAMPION, "true positive"),
            ([one.false_positive for one in groups], "s", MUTED, "false positive"),
        ):
            axes.plot(values, places, marker, color=colour, label=label)
        axes.set_yticks(places, [f"{tick(one.name)} (n {one.n:,})" for one in groups])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set(xlim=(-0.03, 1.03), xlabel="rate")
        axes.legend(**ABOVE)

    told = "; ".join(
        f"{tick(one.name)}: selected {one.selected:.3g}, true positive {one.true_positive:.3g}, "
        f"false positive {one.false_positive:.3g}"
        for one in groups
    )
    return Plot(
        f"Groups of {tick(attribute)}",
        "How often each group gets the positive answer (dot), gets it rightly (triangle: of those "
        "who are positive) and wrongly (square: of those who are not). The same marks below each "
        "other are fair; groups that are too small to tell are left out.",
        f"Rates by group. {told}.",
        drawn(paint, height=_AROUND + 0.5 + _LINE * 1.4 * len(groups)),
    )
