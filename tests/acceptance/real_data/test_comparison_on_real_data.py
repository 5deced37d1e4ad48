"""Real versions against Production on the same rows, through the whole road."""

from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB

from handlers.wording import number
from tests.acceptance.real_data.clinic import Clinic, Judged, seeing
from tests.servers import eventually

POOR = ["mean texture", "mean smoothness", "mean symmetry"]
FAIR = ["mean compactness", "mean texture"]


def champion(clinic: Clinic, model: str, estimator: Any, table: Any, **more: Any) -> str:
    """Register the first version, which is promoted."""
    version = clinic.learn(model, estimator, table, **more)
    found = clinic.judged(model, version)
    assert (found.verdict, found.code) == ("promoted", "no_production"), found
    return str(version)


def challenge(
    clinic: Clinic, model: str, estimator: Any, table: Any, **more: Any
) -> tuple[str, Judged]:
    version = clinic.learn(model, estimator, table, **more)
    return version, clinic.judged(model, version)


def test_a_better_version_is_promoted_and_explain_tells_the_interval(clinic: Clinic) -> None:
    model, table = "cancer-better", clinic.cancer
    first = champion(clinic, model, seeing(POOR), table)

    second, found = challenge(clinic, model, seeing(table.features), table)

    assert (found.verdict, found.code) == ("promoted", "beats_production"), found
    assert found.comparison is not None
    assert (found.comparison["method"], found.comparison["champion"]) == ("delong", first)
    assert found.comparison["interval_low"] > 0.05
    assert clinic.stack.in_production(model) == [second]
    told = " ".join(clinic.stack.cli("explain", model, second).stdout.split())
    delta, low, high = (
        number(found.comparison[key]) for key in ("delta", "interval_low", "interval_high")
    )
    assert f"Difference better by {delta}, " in told
    assert f"95% interval {low} to {high} (paired DeLong, standard error" in told
    assert "285 rows: 179 positive, 106 negative" in told
    assert "holdout cancer.parquet (285 rows) was used for 2 decisions" in told


def test_a_worse_version_is_held(clinic: Clinic) -> None:
    model, table = "cancer-worse", clinic.cancer
    first = champion(clinic, model, seeing(table.features), table)

    _, found = challenge(clinic, model, seeing(POOR), table, logged={"test_auc": 0.999})

    assert (found.verdict, found.code) == ("held", "below_margin"), found
    assert "worse" in found.reasons
    assert clinic.stack.in_production(model) == [first]


def evaluated_apart(clinic: Clinic, estimator: Any, rows: pd.DataFrame, *, lucky: bool) -> float:
    """The AUC on a test sample of 80 rows of one's own: third best of 20 draws, or third worst."""
    table = clinic.cancer
    estimator.fit(rows[table.features], rows["target"])
    samples = [table.holdout.sample(80, random_state=seed) for seed in range(20)]
    found = sorted(
        float(roc_auc_score(each["target"], estimator.predict_proba(each[table.features])[:, 1]))
        for each in samples
    )
    return found[-3] if lucky else found[2]


def test_equal_versions_that_were_evaluated_apart_are_not_told_apart_but_by_luck(
    clinic: Clinic,
) -> None:
    table = clinic.cancer
    half = table.train.sample(frac=0.5, random_state=1)
    unlucky = evaluated_apart(clinic, seeing(FAIR), table.train, lucky=False)
    lucky = evaluated_apart(clinic, seeing(FAIR), half, lucky=True)
    outcomes = {}
    for model in ("equal-skill", "logged-skill"):
        champion(clinic, model, seeing(FAIR), table, logged={"test_auc": unlucky})
        again = {"rows": half, "logged": {"test_auc": lucky}}
        outcomes[model] = challenge(clinic, model, seeing(FAIR), table, **again)[1]

    assert lucky - unlucky > 0.03
    fair, plain = outcomes["equal-skill"], outcomes["logged-skill"]
    assert (plain.verdict, plain.code) == ("promoted", "beats_production"), plain
    assert fair.verdict == "held", fair
    assert fair.code in {"inconclusive", "below_margin"}
    assert fair.comparison is not None
    assert abs(fair.comparison["delta"]) < 0.01


def test_a_version_that_ranks_better_and_is_sure_of_what_is_wrong_is_held(clinic: Clinic) -> None:
    model, table = "careful-bayes", clinic.cancer
    champion(clinic, model, seeing(FAIR), table)

    _, found = challenge(clinic, model, seeing(table.features[:20], GaussianNB()), table)

    assert (found.verdict, found.code) == ("held", "worse_metric"), found
    assert found.reasons.startswith("log_loss 1.")
    assert "on the holdout: worse by 0." in found.reasons


def test_so_few_rows_of_a_class_are_left_to_a_person(clinic: Clinic) -> None:
    champion(clinic, "wine-cellar", seeing(["ash"]), clinic.wine)

    _, found = challenge(clinic, "wine-cellar", seeing(clinic.wine.features), clinic.wine)

    assert (found.verdict, found.code) == ("held", "inconclusive"), found
    assert "too few rows to tell: 29 in the smallest class, needs 50" in found.reasons
    assert found.comparison is not None
    assert (found.comparison["method"], found.comparison["metric"]) == ("bootstrap", "roc_auc")


def test_ten_classes_are_compared_by_a_bootstrap(clinic: Clinic) -> None:
    """The first version learnt its figures as floats; they are the same classes."""
    table, by = clinic.digits, {"label": "digit"}
    floats = table.train.assign(digit=table.train["digit"].astype(float))
    few = seeing(["pixel_2_2", "pixel_3_3"])
    champion(clinic, "figures-ten", few, table, rows=floats, **by)

    _, found = challenge(clinic, "figures-ten", seeing(table.features), table, **by)

    assert (found.verdict, found.code) == ("promoted", "beats_production"), found
    assert found.comparison is not None
    assert (found.comparison["method"], found.comparison["fewest"]) == ("bootstrap", 78)
    scores = found.comparison["scores"]
    assert scores["candidate"] < scores["champion"]  # lower is better


def test_of_regressions_the_smaller_error_wins(clinic: Clinic) -> None:
    model, table = "diabetes-next-year", clinic.diabetes
    champion(clinic, model, seeing(["age"], LinearRegression()), table)

    second, better = challenge(clinic, model, seeing(table.features, LinearRegression()), table)
    _, worse = challenge(clinic, model, seeing(["age", "sex"], LinearRegression()), table)

    assert (better.verdict, better.code) == ("promoted", "beats_production"), better
    assert "root_mean_squared_error 55.4" in better.reasons
    assert (worse.verdict, worse.code) == ("held", "below_margin"), worse
    assert clinic.stack.in_production(model) == [second]


def wait_until_validated(clinic: Clinic, model: str, version: str) -> dict[str, Any]:
    event = clinic.stack.only(model=model, version=version, type="model_version.validated")
    data: dict[str, Any] = event["data"]
    return data


@pytest.mark.parametrize("is_narrower", [False, True])
def test_production_that_changes_before_the_promotion_is_compared_with_anew(
    clinic: Clinic, is_narrower: bool
) -> None:
    """A person makes a held version Production meanwhile; it may take fewer columns, too."""
    model, table = f"cancer-moved{'-narrower' * is_narrower}", clinic.cancer
    columns = FAIR if is_narrower else table.features
    champion(clinic, model, seeing(FAIR), table)
    second, held = challenge(clinic, model, seeing(FAIR), table, columns=columns)
    assert held.verdict == "held", held

    clinic.stack.cli("pause", model, "--reason", "the audit comes")
    third = clinic.learn(model, seeing(table.features), table)
    before = wait_until_validated(clinic, model, third)
    clinic.stack.transition(model, second, "Production", archive=True)
    clinic.stack.only(model=model, version=second, type="registered_model.champion_changed")
    clinic.stack.cli("resume", model)
    eventually(lambda: clinic.stack.verdict(model, third)["verdict"] != "waiting", 60)

    found = clinic.judged(model, third)
    assert before["comparison"]["champion"] == "1"
    if is_narrower:
        assert (found.verdict, found.code) == ("held", "not_comparable"), found
        assert "beside Production version 2: schema: new required column" in found.reasons
    else:
        assert (found.verdict, found.code) == ("promoted", "beats_production"), found
        assert found.comparison is not None
        assert found.comparison["champion"] == "2"
