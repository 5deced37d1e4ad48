"""Examinations made by hand, and their page."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from handlers.checks import CheckResult
from handlers.checks.context import Array, Examined, Handle, Task
from handlers.checks.suite import Suite
from handlers.examined import Examination, HoldoutUse, OnHoldout
from handlers.report.curves import Curves
from handlers.report.drawn import curves_of
from handlers.report.page import Subject, render
from tests.html_page import Page
from tests.unit.world import make_policy

POLICY = make_policy(
    require={},
    metrics={
        "auc": {"names": ["roc_auc"], "better": "higher"},
        "loss": {"names": ["log_loss"], "better": "lower"},
    },
    checks={
        "holdout": {"uri": "q3.parquet", "label": "fraud", "metric": "auc"},
        "drift": {"psi_max": 0.2, "ks_max": 0.25},
    },
    promote={
        "when": {"metric": "auc", "margin": "0.02", "compare": "holdout"},
        "not_worse": {"loss": "0.01"},
    },
)
USE = HoldoutUse("q3.parquet", "a" * 64, 2000, 7)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSED = CheckResult("quality.roc_auc", "pass", 0.9, 0.8, 2000, "0.9, higher is better", 0.25)


def unasked(_frame: Any) -> Array:
    raise AssertionError("the report asks no model")


def examined(
    task: Task, labels: Array, scores: Array, champion: Array | None = None, **more: Any
) -> Examined:
    """Version 7, and version 6 in Production if it has scores."""
    return Examined(
        model="fraud",
        task=task,
        candidate=Handle("7", unasked),
        champion=None if champion is None else Handle("6", unasked),
        labels=labels,
        scores=scores,
        champion_scores=champion,
        **more,
    )


def binary_rows(n: int = 2000) -> tuple[Array, Array, Array]:
    """Labels, good probabilities, worse ones."""
    generator = np.random.default_rng(0)
    labels = (generator.random(n) < 0.3).astype(int)
    good, worse = (generator.normal(size=n) + gap * labels for gap in (2.0, 1.0))
    return labels, 1 / (1 + np.exp(1 - good)), 1 / (1 + np.exp(1 - worse))


def drawn(of: Examined, *results: CheckResult, suite: Suite | None = None) -> Curves:
    """What would be drawn of it."""
    return curves_of(of, suite or Suite(), results)


def page_of(
    *results: CheckResult,
    curves: Curves | None = None,
    compared: OnHoldout | None = None,
    model: str = "fraud",
    holdout: HoldoutUse | None = USE,
) -> Page:
    """The page about version 7, read strictly."""
    found = Examination(
        results or (PASSED,), compared, holdout, "b" * 64, "L2", curves=curves or Curves()
    )
    return Page.read(render(Subject(model, "7", POLICY, AT), found))
