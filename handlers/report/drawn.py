"""Everything that a report draws of one examination; ``examination`` calls it, once it is done.

Imports numbers. What cannot be computed is left out, with a warning in the log.
"""

from collections.abc import Sequence
from dataclasses import replace

from handlers.checks import CheckResult
from handlers.checks.context import Examined
from handlers.checks.suite import Suite
from handlers.report.attempts import attempted
from handlers.report.columns import groups_of, histograms_of
from handlers.report.curves import Curves
from handlers.report.scored import curves_of_scores


def curves_of(
    examined: Examined,
    suite: Suite,
    results: Sequence[CheckResult],
    classes: Sequence[str] | None = None,
) -> Curves:
    """Curves of the scores, histograms of what drifted, rates of the groups that were checked."""
    curves = attempted("scores", lambda: curves_of_scores(examined, classes), Curves())
    return replace(
        curves,
        drift=attempted("drift", lambda: histograms_of(examined, results), ()),
        attribute=suite.fairness.attribute if suite.fairness else "",
        groups=attempted("fairness", lambda: groups_of(examined, suite.fairness), ()),
    )
