"""Which logged value is the metric: by name, dataset and origin; one value or a reason."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.metrics import Ambiguous, Found, Invalid, Missing, exact, find, tell
from steward.events import ModelRef
from steward.policy.model import Metric
from steward.ports import Evidence, MetricValue, VersionInfo

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VERSION = VersionInfo(ModelRef("fraud"), "4", NOW, NOW, run_id="run-4")


def logged(name: str, value: float | None, origin: str = "run", **more: Any) -> MetricValue:
    return MetricValue(name, value, origin, f"{origin}-4", **more)  # type: ignore[arg-type]


def metric(**more: Any) -> Metric:
    return Metric.model_validate({"names": ["test_auc", "roc_auc"], "better": "higher", **more})


def look(rule: Metric, *values: MetricValue) -> Any:
    return find(rule, Evidence(values, looked_at=("run run-4",)), VERSION)


def test_the_first_name_that_was_logged_counts():
    found = look(metric(), logged("roc_auc", 0.8), logged("test_auc", 0.9))

    assert isinstance(found, Found)
    assert (found.name, found.value, found.origin) == ("test_auc", Decimal("0.9"), "run")


def test_a_later_name_stands_in():
    assert look(metric(), logged("roc_auc", 0.8)).name == "roc_auc"


def test_run_and_logged_model_that_agree_to_nine_places_are_one_value():
    found = look(
        metric(),
        logged("test_auc", 0.1 + 0.2),
        logged("test_auc", 0.3, "logged_model", dataset="holdout"),
    )

    assert (found.value, found.dataset) == (Decimal("0.3"), "holdout")


def test_different_values_are_ambiguous_and_told():
    found = look(metric(), logged("test_auc", 0.9), logged("test_auc", 0.8, "logged_model"))

    assert found == Ambiguous("test_auc has 2 different values: 0.9 (run), 0.8 (logged model)")


def test_the_latest_counts_where_the_policy_says_so():
    old = logged("test_auc", 0.9, logged_at=NOW)
    new = logged("test_auc", 0.8, "logged_model", logged_at=NOW + timedelta(hours=1))

    assert look(metric(if_several="latest"), old, new).value == Decimal("0.8")


def test_two_latest_values_are_ambiguous():
    both = (logged("test_auc", value, logged_at=NOW) for value in (0.8, 0.9))

    assert isinstance(look(metric(if_several="latest"), *both), Ambiguous)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 1.7976931348623157e308])
@pytest.mark.parametrize("several", ["hold", "latest"])
def test_what_is_no_number_never_counts(value: float | None, several: str):
    # MLflow shows a NaN of the run as 0.0 on the logged model.
    beside = logged("test_auc", 0.0, "logged_model", logged_at=NOW)

    found = look(metric(if_several=several), logged("test_auc", value, logged_at=NOW), beside)

    assert found == Invalid("test_auc is not a number")


def test_an_old_nan_is_forgotten_where_the_latest_counts():
    old = logged("test_auc", None, logged_at=NOW)
    new = logged("test_auc", 0.9, logged_at=NOW + timedelta(hours=1))

    assert isinstance(look(metric(if_several="latest"), old, new), Found)


@pytest.mark.parametrize(
    ("origin_rule", "expected"),
    [("any", "run"), ("source_run", "run"), ("tags", "tag")],
)
def test_the_policy_says_where_to_look(origin_rule: str, expected: str):
    values = (logged("test_auc", 0.9), logged("test_auc", 0.91, "tag"))

    assert look(metric(**{"from": origin_rule}), *values).origin == expected


def test_source_run_leaves_out_the_logged_model():
    values = (logged("test_auc", 0.9, "logged_model"),)

    assert isinstance(look(metric(**{"from": "source_run"}), *values), Missing)


def test_a_tag_is_not_believed_unasked():
    found = look(metric(), logged("test_auc", 0.99, "tag"))

    assert found == Missing("no test_auc or roc_auc; its tags have test_auc=0.99")


def test_only_values_of_the_dataset_count():
    values = (
        logged("test_auc", 0.9, dataset="holdout"),
        logged("test_auc", 0.99, "logged_model", dataset="train"),
    )

    assert look(metric(dataset="holdout"), *values).value == Decimal("0.9")


def test_another_dataset_is_named_in_what_was_found():
    found = look(metric(dataset="holdout"), logged("test_auc", 0.9, dataset="train"))

    assert found.detail == (
        "no test_auc or roc_auc on dataset holdout; the run has test_auc=0.9 (dataset train)"
    )


def test_a_missing_metric_names_what_is_most_like_it():
    found = look(metric(), logged("f1", 0.7), logged("auc_test", 0.92), logged("loss", None))

    assert found.detail == (
        "no test_auc or roc_auc; the run has auc_test=0.92, f1=0.7, loss=not a number"
    )


def test_many_others_are_counted():
    others = [logged(f"m{number}", 1.0) for number in range(7)]

    assert look(metric(), *others).detail.endswith("m3=1, m4=1 and 2 more")


def test_nothing_at_all_says_where_it_looked():
    detail = look(metric()).detail

    assert detail == "no test_auc or roc_auc; no other metric was found on run run-4"


def test_training_metrics_are_neither_used_nor_proposed():
    found = look(metric(), logged("training_roc_auc", 1.0))

    assert isinstance(found, Missing)
    assert "training" not in found.detail


@given(st.floats(-1e6, 1e6))
def test_a_value_is_what_python_rounds_it_to(value: float):
    assert exact(value) == Decimal(str(round(value, 9)))
    assert float(tell(exact(value))) == round(value, 9)


@pytest.mark.parametrize(("value", "told"), [(-0.0, "0"), (100.0, "100"), (1e-9, "0.000000001")])
def test_numbers_are_told_as_people_write_them(value: float, told: str):
    assert tell(exact(value)) == told
