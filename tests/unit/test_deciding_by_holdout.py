"""What decides where candidate and Production were scored on the same rows, and where not."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from handlers.checks import CheckResult
from handlers.conclusion import Comparison
from handlers.decisions import decide
from handlers.examined import BothScored, Examination, HoldoutUse, OnHoldout
from handlers.metrics import Found, exact
from handlers.production import Production
from handlers.rulings import Decision, Facts, Measured
from tests.unit.world import AUC, MODEL, make_policy

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
    comparison: Comparison | None,
    *,
    compare: str = "holdout",
    problem: str = "",
    others: dict[str, BothScored] | None = None,
    allowed: str | None = None,
    loss: tuple[str, str] | None = None,
    logged_as: str = "log_loss",
    unscored: dict[str, str] | None = None,
    **more: Any,
) -> Decision:
    """The ruling; ``allowed``: what the loss may lose, ``loss``: what was logged of it."""
    policy = make_policy(
        metrics={"auc": AUC, "loss": {"names": ["test_loss", logged_as], "better": "lower"}},
        promote={
            "when": {"metric": "auc", "margin": "0.02", "compare": compare},
            "not_worse": {} if allowed is None else {"loss": allowed},
        },
        checks={"holdout": HOLDOUT},
    )
    measured = (others or {}, unscored or {})
    found = OnHoldout("3", comparison, USE, policy.ref, *measured) if comparison else None
    facts = Facts(Production(MODEL, "3"), on_holdout=found, holdout_problem=problem)
    sides = [logged(0.99, **more), logged(0.6, **more)]
    if loss:
        sides = [
            replace(
                side, metrics={**side.metrics, "loss": Found(Decimal(one), "test_loss", "", "")}
            )
            for side, one in zip(sides, loss, strict=True)
        ]
    return decide(policy, *sides, facts)


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


LOSS = {"loss": BothScored("log_loss", 0.31, 0.29)}


def test_what_must_not_get_worse_is_judged_on_the_same_rows_where_it_was_computed():
    decision = judge(BETTER, others=LOSS, allowed="0.01")

    assert decision.code == "worse_metric"
    assert decision.reasons[0] == (
        "log_loss 0.31 against 0.29 on the holdout: worse by 0.02, more than the 0.01 it may lose"
    )
    assert judge(BETTER, others=LOSS, allowed="0.02").code == "beats_production"


def test_what_cannot_be_computed_is_judged_as_logged():
    told = {"allowed": "0.01", "loss": ("0.5", "0.2"), "logged_as": "cost_of_errors"}

    assert judge(BETTER, **told).reasons[0].startswith("test_loss 0.5 against 0.2 as logged: worse")


def test_what_the_author_logged_never_stands_in_for_what_could_not_be_computed():
    flattering = ("0.1", "0.5")
    unscored = {"loss": "the candidate: 1.0001 is greater than 1"}

    decision = judge(BETTER, allowed="0.01", loss=flattering, unscored=unscored)

    assert (decision.kind, decision.code) == ("hold", "not_comparable")
    assert decision.reasons[0] == (
        "loss (log_loss), which may not get worse, could not be computed on the holdout: "
        "the candidate: 1.0001 is greater than 1"
    )
    assert judge(BETTER, allowed="0.01", loss=flattering).code == "not_comparable"


def test_a_decision_keeps_the_comparison_that_it_rests_on():
    kept = judge(BETTER).on_holdout

    assert kept is not None
    assert kept.comparison == BETTER
    assert judge(None, compare="logged").on_holdout is None


@pytest.mark.parametrize("others", [{}, LOSS])
def test_a_comparison_survives_the_journal(others: dict[str, BothScored]):
    found = OnHoldout("3", BETTER, USE, "fraud@1", others, {"f1": "the rows have one class"})

    assert OnHoldout.read(found.as_dict()) == found


def test_a_comparison_of_an_older_steward_is_read():
    kept = OnHoldout("3", BETTER, USE, "fraud@1").as_dict()
    del kept["others"], kept["unscored"]

    assert OnHoldout.read(kept) == OnHoldout("3", BETTER, USE, "fraud@1")


def test_what_speaks_against_a_version_is_told_and_what_warns_is_not():
    results = (
        CheckResult("drift.age", "warn", detail="PSI 0.15"),
        CheckResult("robustness", "error", detail="the model crashed"),
        CheckResult("schema", "fail", detail="new required column age"),
    )

    assert Examination(results).faults == (
        "schema: new required column age; robustness: the model crashed"
    )
    assert Examination(results[:1]).faults == ""


def test_the_journal_gets_no_number_that_json_has_not():
    result = CheckResult("sanity", "fail", value=float("nan"), numbers={"a": float("inf")})

    kept = Examination((result,)).as_data()["checks"][0]

    assert (kept["value"], kept["numbers"]) == (None, {"a": None})
