"""What the readable report adds to a validation: its curves, and its page.

Two classes, twenty columns of which all are compared with a reference, a champion, two groups:
the most that a report draws. The baseline is what the checks and the comparison take on the same
rows, without the model's own time.
"""

import statistics
import time
from datetime import UTC, datetime
from typing import Any

ROWS = (2_000, 1_000_000)
ROUNDS = 3
COLUMNS = 20
LARGEST_PAGE_BYTES = 500_000


def main() -> None:
    import handlers.examination  # what an examination imports anyway

    began = time.perf_counter()
    import handlers.report.page  # noqa: F401  # matplotlib

    print(f"report: matplotlib is imported once a process, in {time.perf_counter() - began:.2f} s")
    print(f"| rows | checks s | curves s | page s | page kB | (medians of {ROUNDS}) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n in ROWS:
        taken = [_one(n, seed) for seed in range(ROUNDS)]
        checks, curves, page, size = (
            statistics.median(column) for column in zip(*taken, strict=True)
        )
        print(f"| {n:,} | {checks:.2f} | {curves:.2f} | {page:.2f} | {size / 1000:.0f} | |")
        assert size < LARGEST_PAGE_BYTES, "larger than anybody wants to download"


def _one(n: int, seed: int) -> tuple[float, float, float, int]:
    """Seconds of the checks, the curves and the page, and the page's size in bytes."""
    from handlers.checks.drift import DriftLimits
    from handlers.checks.fairness import FairnessLimits
    from handlers.checks.suite import Suite, run_suite
    from handlers.comparison import compare_auc
    from handlers.examined import Examination, HoldoutUse, OnHoldout
    from handlers.report.drawn import curves_of
    from handlers.report.page import Subject, render
    from steward.policy import PolicySet

    examined = _rows(n, seed)
    suite = Suite(determinism=False, drift=DriftLimits(), fairness=FairnessLimits("half"))
    began = time.perf_counter()
    results = tuple(run_suite(examined, suite))
    compared = compare_auc(examined.labels, examined.scores, examined.champion_scores)
    checked = time.perf_counter()
    curves = curves_of(examined, suite, results)
    computed = time.perf_counter()
    use = HoldoutUse("rows.parquet", "a" * 64, n, 1)
    on_holdout = OnHoldout("1", compared, use, "policy@hash")
    found = Examination(results, on_holdout, use, "b" * 64, "L2", curves=curves)
    policy = PolicySet.built_in().policies[0]
    content = render(Subject("fraud", "2", policy, datetime.now(UTC)), found)
    rendered = time.perf_counter()
    return checked - began, computed - checked, rendered - computed, len(content)


def _rows(n: int, seed: int) -> Any:
    import numpy as np
    import pandas as pd

    from handlers.checks.context import Examined, Handle

    generator = np.random.default_rng(seed)
    labels = (generator.random(n) < 0.3).astype(int)
    good, worse = (
        1 / (1 + np.exp(1 - generator.normal(size=n) - gap * labels)) for gap in (2.0, 1.0)
    )
    values = generator.normal(size=(n, COLUMNS))
    reference = pd.DataFrame(values, columns=[f"column {number}" for number in range(COLUMNS)])

    def unasked(_frame: Any) -> Any:
        raise AssertionError("nothing here asks the model")

    return Examined(
        model="fraud",
        task="binary",
        candidate=Handle("2", unasked),
        champion=Handle("1", unasked),
        features=reference + generator.normal(0.3, 0.2, COLUMNS),
        labels=labels,
        scores=good,
        champion_scores=worse,
        reference=reference,
        sensitive={"half": np.where(generator.random(n) < 0.5, "a", "b").tolist()},
    )
