"""Every check fails once for its reason, by a real model, and passes once."""

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from tests.acceptance.real_data.clinic import Clinic, seeing
from tests.acceptance.real_data.odd_models import Moody, Slow
from tests.servers import eventually

MODEL = "sound-figures"
Failing = dict[str, tuple[Callable[[], Any], dict[str, Any]]]
FEW_PIXELS = ["pixel_2_2", "pixel_3_3"]


def failing(clinic: Clinic) -> Failing:
    """What is wrong -> who makes the estimator, and how it is learnt and registered."""
    table = clinic.digits
    odd_rows = table.train[table.train["parity"] == "odd"]
    shy = LogisticRegression(max_iter=2000, class_weight={0: 30, 1: 1})  # says yes to few
    return {
        "quality": (lambda: seeing(FEW_PIXELS), {}),
        "constant": (lambda: DummyClassifier(strategy="prior"), {}),
        "leak": (lambda: seeing(["outcome"]), {"columns": [*table.features, "outcome"]}),
        "moody": (lambda: seeing(table.features, Moody(max_iter=2000)), {}),
        "unfair": (lambda: RandomForestClassifier(60, random_state=0), {"rows": odd_rows}),
        "fragile": (lambda: DecisionTreeClassifier(random_state=0), {}),
        "skewed": (lambda: seeing(table.features), {"made_with": "scikit-learn==0.24.2"}),
        "shy": (lambda: seeing(table.features, shy), {}),
    }


@pytest.fixture(scope="module")
def versions(clinic: Clinic) -> dict[str, str]:
    """All of them registered at once: Steward judges while tests look at what it has judged."""
    table = clinic.digits
    found = {MODEL: clinic.learn(MODEL, seeing(table.features), table)}
    found |= {
        what: clinic.learn(f"sound-{what}", make(), table, **how)
        for what, (make, how) in failing(clinic).items()
    }
    found["shifted"] = clinic.learn("shifted-figures", seeing(table.features), table)
    return found


@pytest.fixture(scope="module")
def second(clinic: Clinic, versions: dict[str, str]) -> str:
    """A version that is as good as the one in Production."""
    assert clinic.judged(MODEL, versions[MODEL]).verdict == "promoted"
    return clinic.learn(MODEL, seeing(clinic.digits.features), clinic.digits)


@pytest.mark.parametrize(
    ("what", "check", "detail"),
    [
        ("quality", "quality.roc_auc", "is below 0.8"),
        ("constant", "sanity.not_constant", "every row gets the same answer"),
        ("leak", "sanity.leak", "roc_auc 1.000000: too good to be true"),
        ("moody", "determinism.repeated", "asked again, the same rows answer otherwise"),
        ("unfair", "fairness.parity.equalized_odds_difference", "between 2 groups of parity"),
        ("fragile", "robustness.noise.metric_drop", "roc_auc loses 0."),
        ("skewed", "environment", "scikit-learn"),
        ("shy", "own.high_amounts", "frauds among the high amounts"),
    ],
)
def test_a_version_with_one_fault_is_rejected_for_it(
    clinic: Clinic, versions: dict[str, str], what: str, check: str, detail: str
) -> None:
    found = clinic.judged(f"sound-{what}", versions[what])

    assert (found.verdict, found.code) == ("rejected", "check_failed"), found
    assert check in found.having("fail"), found.checks
    assert detail in str(found.checks[check]["detail"])
    assert f"{check}: {found.checks[check]['detail']}" in found.reasons


def test_rows_unlike_those_that_a_version_learnt_from_are_drift(
    clinic: Clinic, versions: dict[str, str]
) -> None:
    found = clinic.judged("shifted-figures", versions["shifted"])

    assert (found.verdict, found.code) == ("rejected", "check_failed")
    assert found.having("fail") == {f"drift.{one}" for one in [*FEW_PIXELS, "amount"]}
    assert "drift.amount: PSI " in found.reasons


def test_a_sound_version_passes_every_check_and_they_are_kept_where_people_look(
    clinic: Clinic, second: str
) -> None:
    found = clinic.judged(MODEL, second)

    assert found.having("fail") | found.having("error") | found.having("skip") == set(), found
    assert {
        "schema",
        "environment",
        "sanity.leak",
        "quality.roc_auc",
        "drift.amount",
        "fairness.parity.equalized_odds_difference",
        "determinism.alone",
        "latency.median_ratio",
        "robustness.noise.metric_drop",
        "own.high_amounts",
    } <= found.having("pass"), found.checks
    told = clinic.stack.get(f"/models/{MODEL}/explain", version=second)["sections"]["checks"]
    assert {one["name"]: one["status"] for one in told} == {
        name: check["status"] for name, check in found.checks.items()
    }
    version = clinic.stack.mlflow.get_model_version(MODEL, second)
    assert version.tags["steward.check.own.high_amounts"] == "pass"
    logged = clinic.stack.mlflow.get_logged_model(version.source.removeprefix("models:/")).metrics
    values = {metric.key: metric.value for metric in logged}
    assert values["steward/quality.roc_auc"] == found.checks["quality.roc_auc"]["value"]
    report = clinic.report(MODEL, second)
    kept = clinic.stack.mlflow.list_artifacts(version.run_id, "validation")
    assert "validation/report.html" in [each.path for each in kept]
    assert {one["name"]: one["status"] for one in report["checks"]} == {
        name: check["status"] for name, check in found.checks.items()
    }


def test_tags_of_checks_are_written_only_where_the_policy_asks(
    clinic: Clinic, versions: dict[str, str]
) -> None:
    clinic.judged("shifted-figures", versions["shifted"])

    def tags() -> dict[str, str]:
        return clinic.stack.tags("shifted-figures", versions["shifted"])

    assert eventually(lambda: tags().get("steward.verdict"), 30) == "rejected"
    assert not [name for name in tags() if name.startswith("steward.check")]


def test_a_version_that_keeps_callers_waiting_is_rejected(clinic: Clinic, second: str) -> None:
    clinic.judged(MODEL, second)
    slow = seeing(clinic.digits.features, Slow(max_iter=2000))

    version = clinic.learn(MODEL, slow, clinic.digits)

    found = clinic.judged(MODEL, version)
    assert found.having("fail") == {"latency.median_ratio"}, found
    assert "times" in found.reasons
    assert found.code == "check_failed"


def test_a_version_that_asks_callers_for_more_is_rejected(clinic: Clinic, second: str) -> None:
    clinic.judged(MODEL, second)
    columns = [*clinic.digits.features, "digit"]

    version = clinic.learn(MODEL, seeing(clinic.digits.features), clinic.digits, columns=columns)

    found = clinic.judged(MODEL, version)
    assert found.having("fail") == {"schema"}, found
    assert "schema: new required column digit" in found.reasons


def test_a_break_that_the_policy_allows_is_promoted_as_the_next_major(clinic: Clinic) -> None:
    model, columns = "moving-figures", clinic.digits.features
    first = clinic.learn(model, seeing(FEW_PIXELS), clinic.digits)
    assert clinic.judged(model, first).verdict == "promoted"

    version = clinic.learn(model, seeing(columns), clinic.digits, columns=[*columns, "digit"])

    found = clinic.judged(model, version)
    told = "new required column digit; callers break on this, which the policy allows"
    assert (found.verdict, found.checks["schema"]["status"]) == ("promoted", "pass"), found
    assert told in str(found.checks["schema"]["detail"])
    assert "2.0.0, major after 1.0.0: against version 1, new required column digit" in found.reasons
    assert eventually(lambda: clinic.stack.tags(model, version).get("semantic_version"), 30) == (
        "2.0.0"
    )
    (kept,) = [one for one in clinic.report(model, version)["checks"] if one["name"] == "schema"]
    assert told in kept["detail"]
    assert told in clinic.page(model, version)
    explained = clinic.stack.get(f"/models/{model}/explain", version=version)["sections"]["checks"]
    (shown,) = [one for one in explained if one["name"] == "schema"]
    assert (shown["status"], told in shown["detail"]) == ("pass", True)
