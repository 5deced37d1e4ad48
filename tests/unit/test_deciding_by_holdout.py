"""What decides where candidate and Production were scored on the same rows, and where not."""

from dataclasses import replace
from typing import Any

import pytest

from handlers.checks import CheckResult
from handlers.conclusion import Comparison
from handlers.decisions import decide
from handlers.examined import Examination, HoldoutUse, OnHoldout
from handlers.metrics import Found, exact
from handlers.production import Production
from handlers.rulings import Decision, Facts, Measured
from tests.unit.world import MODEL, make_policy

HOLDOUT = {"uri": "q3.parquet", "label": "fraud", "metric": "auc"}
BETTER = Comparison(
    metric="roc_auc",
    method="delong",
    confidence=0.95,
    n=2000,
    fewest=200,
    n_pos=200,
    n_neg=1800,
    candidate=0.9,
    champion=0.86,
    delta=0.04,
    variance=0.000064,
    se=0.008,
    lower=0.027,
    upper=0.053,
)
USE = HoldoutUse("q3.parquet", "a" * 64, 2000, 7)


def logged(value: float, **more: Any) -> Measured:
    return Measured(
        "4" if value > 0.9 else "3", {"auc": Found(exact(value), "test_auc", "run", "r", **more)}
    )


def judge(
    comparison: Comparison | None, *, compare: str = "holdout", problem: str = "", **more: Any
) -> Decision:
    policy = make_policy(
        promote={"when": {"metric": "auc", "margin": "0.02", "compare": compare}},
        checks={"holdout": HOLDOUT},
    )
    found = OnHoldout("3", comparison, USE, policy.ref) if comparison else None
    facts = Facts(Production(MODEL, "3"), on_holdout=found, holdout_problem=problem)
    return decide(policy, logged(0.99, **more), logged(0.6, **more), facts)


def test_a_surely_better_version_is_promoted_with_the_numbers_of_the_holdout():
    decision = judge(BETTER)

    assert (decision.kind, decision.code) == ("promote", "beats_production")
    assert str(decision.gain) == "0.04"
    assert "roc_auc 0.9 against Production version 3's 0.86" in decision.reasons[0]
    assert decision.reasons[-1] == "holdout q3.parquet (2000 rows) was used for 7 decisions"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"se": 0.02, "lower": 0.007, "upper": 0.073}, "inconclusive"),
        ({"fewest": 20, "n_pos": 20}, "inconclusive"),
        ({"candidate": 0.87, "delta": 0.01, "lower": -0.003, "upper": 0.023}, "below_margin"),
        ({"problem": "one class only"}, "not_comparable"),
    ],
)
def test_what_is_not_surely_better_is_held(change: dict[str, Any], code: str):
    decision = judge(replace(BETTER, **change))

    assert (decision.kind, decision.code) == ("hold", code)
    assert decision.reasons[-1].startswith("holdout q3.parquet")


def test_logged_values_never_stand_in_for_the_holdout():
    decision = judge(None)

    assert (decision.kind, decision.code) == ("hold", "not_comparable")


def test_why_the_holdout_could_not_be_used_is_the_reason():
    decision = judge(None, compare="auto", problem="q3.parquet cannot be read")

    assert (decision.code, decision.reasons) == ("not_comparable", ("q3.parquet cannot be read",))


def test_a_comparison_survives_the_journal():
    found = OnHoldout("3", BETTER, USE, "fraud@1")

    assert OnHoldout.read(found.as_dict()) == found


def test_the_journal_gets_no_number_that_json_has_not():
    result = CheckResult("sanity", "fail", value=float("nan"), numbers={"a": float("inf")})

    kept = Examination((result,)).as_data()["checks"][0]

    assert (kept["value"], kept["numbers"]) == (None, {"a": None})
