"""Scores on the holdout: what may be compared, and which labels a model is measured by."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from handlers.checks.context import Array, Task
from handlers.checks.drift import DriftLimits
from handlers.checks.latency import LatencyLimits
from handlers.checks.robustness import RobustnessLimits
from handlers.checks.sanity import SanityLimits
from handlers.comparing import compare, score_not_worse
from handlers.holdout import Rows
from handlers.scoring import Scored, score, suite_of
from steward.errors import PermanentError
from steward.policy import Policy
from steward.ports import Column, ModelFacts, Table
from tests.unit.world import make_policy

METRICS = {
    "auc": {"names": ["roc_auc"], "better": "higher"},
    "rmse": {"names": ["rmse"], "better": "lower"},
    "loss": {"names": ["test_log_loss"], "better": "lower"},
    "cost": {"names": ["cost_of_errors"], "better": "lower"},
    "turned": {"names": ["f1"], "better": "lower"},
}


def policy_by(metric: str, *, compared: str = "holdout", **not_worse: str) -> Policy:
    when = {"metric": metric, "margin": "0.02", "compare": compared}
    return make_policy(
        metrics=METRICS,
        require={},
        checks={"holdout": {"uri": "rows.csv", "label": "y", "metric": metric}},
        promote={"when": when, "not_worse": not_worse},
    )


class Model:
    """A sandboxed model that answers with the column x."""

    def __init__(self, classes: tuple[str, ...] | None) -> None:
        self.info = ModelFacts("sklearn", classes, (("x", "double"),), {})

    def predict(self, features: pd.DataFrame) -> Array:
        return np.asarray(features["x"], dtype=float)

    def time(self, features: pd.DataFrame, *, rounds: int) -> list[float]:
        return [1.0] * rounds


def rows(y: list[object]) -> Rows:
    frame = pd.DataFrame({"x": np.linspace(0, 1, len(y)), "y": y})
    return Rows(Table("rows", str(Path("rows.csv")), "0" * 64, frame), None)


def scored(classes: tuple[str, ...]) -> Scored:
    held = rows(["no", "yes"] * 100)
    return score(policy_by("auc"), held, "1", Model(classes))


def test_what_a_model_may_go_without_is_no_demand_on_callers():
    model = Model(("no", "yes"))
    model.info = replace(model.info, optional_columns=frozenset({"x"}))

    inputs = score(policy_by("auc"), rows(["no", "yes"] * 100), "1", model).handle.inputs

    assert inputs == (Column("x", "double", required=False),)


def features_of(inputs: tuple[tuple[str, str], ...] | None, *columns: str) -> list[str]:
    """What a model of this signature is given of a holdout with these columns and the label."""
    model = Model(("no", "yes"))
    model.info = replace(model.info, input_columns=inputs)
    held = rows(["no", "yes"] * 100)
    more = pd.DataFrame(dict.fromkeys(columns, held.holdout.frame["x"]))
    frame = pd.concat([more, held.holdout.frame], axis=1)
    held = replace(held, holdout=replace(held.holdout, frame=frame))
    return list(score(policy_by("auc"), held, "1", model).features.columns)


def test_an_array_without_names_is_all_columns_though_one_is_called_by_a_number():
    array = (("0", "tensor"),)

    assert features_of(array, "0", "1") == ["0", "1", "x"]
    assert features_of(None, "0", "1") == ["0", "1", "x"]


def test_columns_that_are_called_by_numbers_are_taken_by_name():
    inputs = (("1", "double"), ("0", "double"), ("x", "double"))

    assert features_of(inputs, "0", "1", "2") == ["1", "0", "x"]
    assert features_of((("x", "tensor"),), "0", "1") == ["x"]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (("0.0", "1.0"), [0, 1]),
        (("0", "1"), [0.0, 1.0]),
        (("False", "True"), [False, True]),
        (("0.5", "1.5"), [0.5, 1.5]),
        (("benign", "malignant"), ["benign", "malignant"]),
    ],
)
def test_a_label_is_the_class_that_a_model_learnt_whatever_type_it_had(
    classes: tuple[str, ...], labels: list[object]
):
    found = score(policy_by("auc"), rows(labels * 100), "1", Model(classes))

    assert found.task == "binary"
    assert found.labels.tolist() == [0, 1] * 100


def test_two_models_that_learnt_the_same_classes_as_other_types_are_compared():
    held = rows([0, 1] * 100)
    one, other = (
        score(policy_by("auc"), held, "1", Model(classes))
        for classes in (("0", "1"), ("0.0", "1.0"))
    )

    assert compare(policy_by("auc"), one, other).problem == ""


def test_a_classifier_is_not_compared_by_a_metric_of_regressions():
    held = rows([0, 1] * 100)
    one, other = (score(policy_by("rmse"), held, "1", Model(("0", "1"))) for _ in range(2))

    compared = compare(policy_by("rmse"), one, other)

    assert compared.problem == "root_mean_squared_error is no metric of a binary model"


HOLDOUT = {"uri": "rows.csv", "label": "y", "metric": "auc"}


def test_a_bound_that_the_policy_does_not_name_is_not_applied():
    checks = {
        "holdout": HOLDOUT,
        "latency": {"p95_ms": 50},
        "fairness": {"attribute": "sex", "demographic_parity_difference_max": 0.1},
        "robustness": {"noise_sd": 0.2, "metric_drop_max": 0.05},
    }

    suite = suite_of(make_policy(metrics=METRICS, checks=checks))

    assert suite.latency == LatencyLimits(ratio_max=None, p99_ratio_max=None, p95_ms=50)
    assert suite.fairness is not None
    assert suite.fairness.bounds() == {"demographic_parity_difference": 0.1}
    assert suite.robustness == RobustnessLimits(0.2, 0.05, flip_rate_max=None)
    assert suite.sanity == SanityLimits(leak_at=0.9999)
    assert suite.drift is None


def test_what_the_policy_names_is_what_the_checks_go_by():
    checks = {
        "holdout": HOLDOUT,
        "sanity": {"leak_at": None},
        "drift": {"psi_max": 0.3, "columns": ["x"]},
        "robustness": {
            "noise_sd": 0.2,
            "metric_drop_max": 0.05,
            "flip_rate_max": 0.2,
            "gaps_metric_drop_max": 0.1,
        },
    }

    suite = suite_of(make_policy(metrics=METRICS, checks=checks))

    assert suite.sanity == SanityLimits(leak_at=None)
    assert suite.drift == DriftLimits(psi_max=0.3, columns=("x",))
    assert suite.robustness == RobustnessLimits(0.2, 0.05, flip_rate_max=0.2, missing_drop_max=0.1)


def test_two_models_that_order_their_classes_alike_are_compared():
    compared = compare(policy_by("auc"), scored(("no", "yes")), scored(("no", "yes")))

    assert not compared.problem
    assert compared.candidate == compared.champion


def test_two_models_that_order_their_classes_otherwise_are_not():
    compared = compare(policy_by("auc"), scored(("no", "yes")), scored(("yes", "no")))

    assert compared.problem == (
        "the two models know other classes, or the same in another order: "
        "the candidate's are no, yes; Production's are yes, no"
    )


def test_two_models_that_differ_in_a_class_that_the_holdout_lacks_are_not_compared():
    one, other = scored(("a", "no", "yes")), scored(("b", "no", "yes"))

    compared = compare(policy_by("auc"), one, other)

    assert np.array_equal(one.labels, other.labels)
    assert "the candidate's are a, no, yes; Production's are b, no, yes" in compared.problem


def test_what_must_not_get_worse_is_computed_for_both_where_it_can_be():
    policy = policy_by("auc", loss="0.01", cost="1", rmse="1", turned="1")

    others, unscored = score_not_worse(policy, scored(("no", "yes")), scored(("no", "yes")))

    assert list(others) == ["loss"]
    assert others["loss"].metric == "log_loss"
    assert others["loss"].candidate == others["loss"].champion > 0
    assert unscored == {"rmse": "it is no metric of a binary model"}


@pytest.mark.parametrize("side", ["candidate", "champion"])
def test_answers_that_are_no_probabilities_have_no_log_loss_and_it_is_told(side: str):
    policy, honest = policy_by("auc", loss="0.01"), scored(("no", "yes"))
    evasive = replace(honest, scores=honest.scores * 1.0001)
    sides = (evasive, honest) if side == "candidate" else (honest, evasive)

    others, unscored = score_not_worse(policy, *sides)

    assert others == {}
    whose = {"candidate": "the candidate", "champion": "Production"}[side]
    assert unscored["loss"].startswith(f"{whose}: ")
    assert "1.0001" in unscored["loss"]


def test_what_must_not_get_worse_is_as_logged_where_logged_values_decide():
    policy = policy_by("auc", compared="logged", loss="0.01")

    assert score_not_worse(policy, scored(("no", "yes")), scored(("no", "yes"))) == ({}, {})


@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf"), "a lot"])
def test_a_regression_is_not_measured_by_labels_that_are_no_numbers(wrong: object):
    with pytest.raises(PermanentError, match="1 of 3 labels in y are no numbers"):
        score(policy_by("rmse"), rows([1.0, 2.0, wrong]), "1", Model(None))


def test_a_regression_is_measured_by_its_labels():
    found = score(policy_by("rmse"), rows([1, 2, 3]), "1", Model(None))

    task: Task = "regression"
    assert found.task == task
    assert found.labels.tolist() == [1.0, 2.0, 3.0]
