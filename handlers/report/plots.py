"""The plots of what candidate and champion answered, each with how to read it; ``page`` asks."""

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.axes import Axes

from handlers.conclusion import Comparison
from handlers.report.canvas import ABOVE, CANDIDATE, MUTED, Plot, Sides, drawn, tick
from handlers.report.curves import Band, Confusion, Curve, Curves, Spread
from handlers.wording import number

_DARK = 0.6
_TICKS = 5
"""Steps of an axis of small differences: more of them, and their labels would touch."""


def plots_of_scores(curves: Curves, sides: Sides) -> list[Callable[[], Plot]]:
    """How to make each plot that there is something for."""
    makers: list[Callable[[], Plot]] = []
    if curves.roc:
        makers.append(partial(_roc, curves.roc, sides))
    if curves.precision_recall:
        share = curves.positives or 0.0
        makers.append(partial(_precision_recall, curves.precision_recall, share, sides))
    is_binary = curves.positives is not None
    if curves.calibration:
        makers.append(partial(_calibration, curves.calibration, is_binary, sides))
    makers += [partial(_confusion, confusion, sides) for confusion in curves.confusion]
    if curves.fit:
        makers.append(partial(_fit, curves.fit, sides))
    if curves.residuals:
        makers.append(partial(_residuals, curves.residuals, sides))
    return makers


def plot_of_difference(found: Comparison, margin: float | None) -> Plot | None:
    """The difference with its interval, beside zero and the margin; None if it was not measured."""
    delta, low, high = found.delta, found.interval_low, found.interval_high
    if delta is None or low is None or high is None or found.lower is None:
        return None
    lower = found.lower

    def paint(axes: Axes) -> None:
        axes.plot([low, high], [0, 0], color=CANDIDATE, linewidth=3, solid_capstyle="butt")
        axes.plot([lower], [0], color=CANDIDATE, marker="|", markersize=22, markeredgewidth=2)
        axes.plot([delta], [0], color=CANDIDATE, marker="o", markersize=9)
        lines = [(0.0, "0", "-", -5, "right")]
        if margin:
            lines.append((margin, "margin", "--", 5, "left"))
        for place, name, style, shift, side in lines:
            axes.axvline(place, color=MUTED, linestyle=style, linewidth=1.2)
            axes.annotate(name, (place, 1.2), (shift, 0), textcoords="offset points", ha=side)
        axes.set_ylim(-1, 1.6)
        axes.margins(x=0.15)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=_TICKS)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(
            "\N{LEFTWARDS ARROW} candidate worse | candidate better \N{RIGHTWARDS ARROW}"
        )

    percent = number(found.confidence * 100, 1)
    asked = f"; the policy asks for {margin:.4g}" if margin is not None else ""
    return Plot(
        "Difference to Production",
        f"The dot is the measured difference in {found.metric}, the bar its two-sided {percent}% "
        "interval, the upright stroke its one-sided lower bound. Better: the dot reaches the "
        "margin, the stroke lies to the right of 0, and the bar is short enough or the stroke "
        "reaches the margin too.",
        f"The difference is {delta:.4g}, its interval {low:.4g} to {high:.4g}, "
        f"its lower bound {lower:.4g}{asked}.",
        drawn(paint, height=1.7),
    )


def _roc(curves: Sequence[Curve], sides: Sides) -> Plot:
    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", label="chance")
        _lines(axes, curves, sides, "area")
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.legend(loc="lower right")

    return Plot(
        "ROC",
        "For every threshold: how many of the positive rows are found (up), and how many of the "
        "negative ones are taken for positive (right). Nearer to the top left corner is better.",
        f"ROC curves. {_told(curves, sides, 'area under the curve')}",
        drawn(paint),
    )


def _precision_recall(curves: Sequence[Curve], share: float, sides: Sides) -> Plot:
    def paint(axes: Axes) -> None:
        axes.axhline(share, color=MUTED, linestyle=":")
        _lines(axes, curves, sides, "AP")
        axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.03))
        axes.legend(**ABOVE | {"ncols": 1})

    return Plot(
        "Precision and recall",
        "For every threshold: how many of the positive rows are found (right), and how many of the "
        f"rows taken for positive are so (up). Higher is better; chance (dotted) is {share:.3g}, "
        "the share of positive rows.",
        f"Precision-recall curves. {_told(curves, sides, 'average precision')}",
        drawn(paint),
    )


def _calibration(curves: Sequence[Curve], is_binary: bool, sides: Sides) -> Plot:
    which = "" if is_binary else " of the likeliest class"

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", label="perfect")
        _lines(axes, curves, sides, marker="o")
        axes.set(xlabel="predicted probability", ylabel="share that came true")
        axes.legend(loc="upper left")

    gaps = (
        f"{sides.name(curve.version)}: at most "
        f"{max((abs(x - y) for x, y in zip(curve.x, curve.y, strict=True)), default=0):.3g} apart."
        for curve in curves
    )
    return Plot(
        "Calibration",
        f"What share came true of the rows with about the same predicted probability{which}; up to "
        "ten points of equally many rows. On the dotted line the probabilities mean what they "
        "say; below it they promise too much.",
        f"Predicted probability against the share that came true. {' '.join(gaps)}",
        drawn(paint),
    )


def _lines(
    axes: Axes, curves: Sequence[Curve], sides: Sides, summary: str = "", marker: str = ""
) -> None:
    for curve in curves:
        has_summary = bool(summary) and curve.summary is not None
        more = f", {summary} {curve.summary:.4g}" if has_summary else ""
        style = {**sides.style(curve.version), "marker": marker, "markersize": 4}
        axes.plot(curve.x, curve.y, label=sides.name(curve.version) + more, **style)


def _told(curves: Sequence[Curve], sides: Sides, summary: str) -> str:
    return " ".join(
        f"{sides.name(curve.version)}: {summary} {curve.summary:.4g}." for curve in curves
    )


def _confusion(found: Confusion, sides: Sides) -> Plot:
    names = [tick(name) for name in found.classes]
    places = range(len(names))

    def paint(axes: Axes) -> None:
        axes.grid(visible=False)
        blank = [float("nan")] * len(names)
        axes.pcolormesh([row or blank for row in found.shares], cmap="Blues", vmin=0, vmax=1)
        for row, shares in enumerate(found.shares):
            for column, share in enumerate(shares or ()):
                colour = "white" if share > _DARK else "black"
                place = (column + 0.5, row + 0.5)
                axes.text(*place, f"{share:.0%}", color=colour, ha="center", va="center", size=8)
        axes.set_xticks([place + 0.5 for place in places], names, rotation=45, ha="right")
        axes.set_yticks([place + 0.5 for place in places], names)
        axes.invert_yaxis()
        axes.set(xlabel="predicted", ylabel="true class")

    right = ", ".join(
        f"{names[place]} {f'{shares[place]:.0%}' if shares else 'too few rows to tell'}"
        for place, shares in enumerate(found.shares)
    )
    return Plot(
        f"Confusion of {sides.name(found.version)}",
        "Of the rows of each true class (a line), the share that is taken for each class. A dark "
        "diagonal is good; a class of fewer than ten rows has no line.",
        f"Share of each class that is recognised: {right}.",
        drawn(paint, height=3.8),
    )


def _fit(bands: Sequence[Band], sides: Sides) -> Plot:
    def paint(axes: Axes) -> None:
        ends = [end for band in bands for end in (*band.low, *band.high, *band.predicted)]
        axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=MUTED, linestyle=":")
        for band in bands:
            style = {**sides.style(band.version), "marker": "o", "markersize": 4}
            shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
            axes.fill_between(band.predicted, band.low, band.high, **shade)
            axes.plot(band.predicted, band.middle, label=sides.name(band.version), **style)
        axes.set(xlabel="predicted", ylabel="true value")
        axes.legend(loc="upper left")

    told = " ".join(
        f"{sides.name(band.version)}: predictions from {band.predicted[0]:.4g} to "
        f"{band.predicted[-1]:.4g}, medians of the true values from {min(band.middle):.4g} to "
        f"{max(band.middle):.4g}."
        for band in bands
    )
    return Plot(
        "Predicted against true",
        "Rows with about the same prediction, in up to 20 bins of equally many: the point is the "
        "median of their true values, the shade reaches from the 10th to the 90th percentile. On "
        "the dotted line the prediction is right.",
        f"Predicted against true values. {told}",
        drawn(paint),
    )


def _residuals(found: Spread, sides: Sides) -> Plot:
    def paint(axes: Axes) -> None:
        axes.axvline(0, color=MUTED, linestyle=":")
        for version, shares in found.shares:
            axes.stairs(shares, found.edges, label=sides.name(version), **sides.style(version))
        axes.set(xlabel="predicted minus true", ylabel="share of the rows")
        axes.legend(**ABOVE)

    return Plot(
        "Residuals",
        "How far predictions are off: narrower and around 0 is better; to the right of 0 too much "
        "was predicted. The outermost bins hold all that lies beyond; bins of fewer than ten rows "
        "are left empty.",
        "How errors are spread, from "
        f"{found.edges[0]:.4g} to {found.edges[-1]:.4g}, for "
        f"{' and '.join(sides.name(version) for version, _ in found.shares)}.",
        drawn(paint),
    )
