"""Latency, robustness, determinism, schema and environment."""

import numpy as np
import pandas as pd
import pytest

from handlers.checks.context import LabelError, encode_labels
from handlers.checks.determinism import check_determinism
from handlers.checks.environment import EnvironmentLimits, check_environment
from handlers.checks.latency import LatencyLimits, check_latency, measure_in_turns
from handlers.checks.metrics import METRICS
from handlers.checks.robustness import (
    check_column_order,
    check_drop,
    check_flips,
    noisy,
    reordered,
    with_gaps,
)
from handlers.checks.schema import SchemaLimits, check_schema
from steward.ports import Column


def statuses(results):
    return {result.name: result.status for result in results}


def test_a_model_as_fast_as_the_champion_passes_and_a_slower_one_fails():
    champion = np.full(200, 10.0)

    alike = check_latency(champion, champion, LatencyLimits())
    slower = check_latency(champion * 1.6, champion, LatencyLimits())

    assert set(statuses(alike).values()) == {"pass"}
    assert statuses(slower) == {"latency.median_ratio": "fail", "latency.p99_ratio": "pass"}
    assert slower[0].value == pytest.approx(1.6)
    assert slower[0].detail.endswith("1.60 times, more than 1.5 times")


def test_rare_slow_calls_show_in_the_p99_alone():
    champion = np.full(200, 10.0)
    candidate = np.where(np.arange(200) % 20 == 0, 50.0, 10.0)

    results = check_latency(candidate, champion, LatencyLimits())

    assert statuses(results) == {"latency.median_ratio": "pass", "latency.p99_ratio": "fail"}


def test_an_absolute_time_is_held_only_where_the_policy_sets_one():
    times = np.full(200, 51.0)

    (result,) = check_latency(
        times, None, LatencyLimits(ratio_max=None, p99_ratio_max=None, p95_ms=50)
    )

    assert (result.name, result.status, result.value) == ("latency.p95_ms", "fail", 51.0)
    assert result.detail == "p95 51.00 ms on this machine, more than 50 ms"


def test_without_a_champion_the_ratios_are_skipped():
    results = check_latency(np.full(200, 5.0), None, LatencyLimits())

    assert set(statuses(results).values()) == {"skip"}


@pytest.mark.parametrize(
    "times", [np.empty(0), np.full(19, 5.0), np.full(200, np.nan), np.zeros(200)]
)
def test_times_that_say_nothing_are_an_error(times):
    results = check_latency(times, np.full(200, 5.0), LatencyLimits(p95_ms=50))

    assert set(statuses(results).values()) == {"error"}


def test_both_models_are_timed_in_turns_and_none_is_always_first():
    calls = []

    def timed(name):
        def time(rounds):
            calls.append(name)
            return [1.0] * rounds

        return time

    times = measure_in_turns(timed("new"), timed("old"), 4)

    assert calls[2:] == ["new", "old", "old", "new", "new", "old", "old", "new"]
    assert [len(side) for side in times] == [4, 4]


FRAME = pd.DataFrame(
    {
        "real": np.linspace(0, 10, 500),
        "whole": np.arange(500),
        "flag": [True, False] * 250,
        "text": ["a", "b"] * 250,
    }
)


def test_noise_is_the_same_for_a_seed_and_in_the_deviations_of_each_column():
    first, again, otherwise = (noisy(FRAME, 0.1, seed) for seed in (1, 1, 2))

    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(otherwise)
    shift = (first["real"] - FRAME["real"]).std()
    assert shift == pytest.approx(0.1 * FRAME["real"].std(), rel=0.15)


def test_noise_keeps_types_text_and_booleans_and_the_given_frame():
    before = FRAME.copy()

    result = noisy(FRAME, 0.5, 1)

    assert result.dtypes.equals(FRAME.dtypes)
    pd.testing.assert_frame_equal(result[["flag", "text"]], FRAME[["flag", "text"]])
    pd.testing.assert_frame_equal(FRAME, before)


def test_a_noisy_byte_does_not_wrap_around():
    frame = pd.DataFrame({"x": np.array([0, 255] * 100, dtype="uint8")})

    result = noisy(frame, 0.1, 1)

    assert abs(result["x"].astype(int) - frame["x"].astype(int)).max() < 100
    assert result["x"].dtype == "uint8"


def test_noise_leaves_the_gaps_of_whole_numbers():
    frame = pd.DataFrame({"x": pd.array([1, None, 900], dtype="Int64")})

    result = noisy(frame, 0.1, 1)

    assert result["x"].isna().tolist() == [False, True, False]


def test_gaps_come_only_where_the_type_can_hold_them():
    result = with_gaps(FRAME, 0.2, 1)

    assert result["real"].isna().mean() == pytest.approx(0.2, abs=0.05)
    assert result["text"].isna().any()
    assert not result[["whole", "flag"]].isna().any().any()


def test_reordered_keeps_every_column():
    assert list(reordered(FRAME).columns) == ["text", "flag", "whole", "real"]


LABELS = np.array([0, 1] * 50)
GOOD = LABELS * 0.6 + np.linspace(0, 0.3, 100)


def test_the_worst_seed_counts_for_the_drop_and_the_flips():
    spoiled = GOOD.copy()
    spoiled[:10] = 1 - spoiled[:10]

    drop = check_drop("noise", METRICS["roc_auc"], LABELS, GOOD, [GOOD, spoiled], limit=0.03)
    flips = check_flips("noise", GOOD, [GOOD, spoiled], 0.1)

    assert (drop.status, drop.value > 0.03) == ("fail", True)
    assert drop.detail.endswith("at worst, in 2 trials, more than 0.03")
    assert (flips.status, flips.value) == ("pass", 0.1)


def test_a_drop_of_an_error_metric_is_its_growth():
    worse = np.full(100, 0.5)

    result = check_drop("noise", METRICS["log_loss"], LABELS, GOOD, [worse], limit=0.03)

    assert result.status == "fail"


def test_nothing_scored_is_no_robustness():
    assert check_flips("noise", GOOD, [], 0.1).status == "error"
    drop = check_drop("noise", METRICS["roc_auc"], LABELS, GOOD, [], limit=0.03)
    assert drop.status == "error"


def test_another_answer_to_the_same_columns_fails():
    assert check_column_order(GOOD, GOOD).status == "pass"
    assert check_column_order(GOOD, GOOD[::-1]).status == "fail"
    assert check_column_order(GOOD, np.full(100, np.nan)).status == "error"


def test_a_model_that_remembers_or_looks_around_is_found():
    same = check_determinism(GOOD, GOOD, GOOD[:5])
    remembers = check_determinism(GOOD, GOOD + 0.01, GOOD[:5])
    looks_around = check_determinism(GOOD, GOOD, GOOD[:5] + 0.01)

    assert set(statuses(same).values()) == {"pass"}
    assert statuses(remembers)["determinism.repeated"] == "fail"
    assert remembers[0].detail == "asked again, the same rows answer otherwise, by up to 0.01"
    assert statuses(looks_around)["determinism.alone"] == "fail"


def test_the_last_digits_of_a_sum_are_no_difference():
    results = check_determinism(GOOD, GOOD * (1 + 1e-12), GOOD[:5])

    assert set(statuses(results).values()) == {"pass"}


def test_answers_that_do_not_compare_are_an_error():
    results = check_determinism(GOOD, GOOD[:9], np.empty(0))

    assert set(statuses(results).values()) == {"error"}


AGE, NAME = Column("age", "long"), Column("name", "string")


@pytest.mark.parametrize(
    ("candidate", "status", "says"),
    [
        ((AGE, NAME), "pass", "takes what"),
        ((NAME, AGE), "pass", "takes what"),
        ((AGE, NAME, Column("city", "string")), "fail", "new required column city"),
        ((AGE, NAME, Column("city", "string", required=False)), "warn", "new optional"),
        ((Column("age", "string"), NAME), "fail", "age was long, is string"),
        ((Column("age", "integer"), NAME), "fail", "age was long, is integer"),
        ((AGE,), "warn", "name is no longer read"),
        (None, "error", "no signature"),
    ],
)
def test_inputs_against_the_champions(candidate, status, says):
    result = check_schema(candidate, (AGE, NAME))

    assert result.status == status
    assert says in result.detail


def test_a_wider_type_takes_what_the_champion_takes():
    narrow, wide = Column("x", "float"), Column("x", "double")

    assert check_schema((wide,), (narrow,)).status == "warn"
    assert check_schema((narrow,), (wide,)).status == "fail"


def test_of_very_many_columns_the_first_are_named():
    many = tuple(Column(f"c{number}", "double") for number in range(28))

    result = check_schema(many, (Column("c0", "double"),))

    assert (result.status, result.value) == ("fail", 27)
    assert result.detail.endswith("new required column c10; and 17 more such")


def test_an_optional_column_that_becomes_required_breaks_callers():
    optional = Column("age", "long", required=False)

    assert check_schema((AGE,), (optional,)).status == "fail"
    assert check_schema((optional,), (AGE,)).status == "pass"


def test_a_break_that_the_policy_allows_passes_and_is_told():
    limits = SchemaLimits(is_break_allowed=True)

    result = check_schema((AGE, NAME, Column("city", "string")), (AGE, NAME), limits)

    assert (result.status, result.value, result.threshold) == ("pass", 1.0, None)
    assert result.detail == (
        "new required column city; "
        "callers break on this, which the policy allows (checks.schema.breaking: allow)"
    )


@pytest.mark.parametrize(
    ("candidate", "status"),
    [
        ((AGE, NAME), "pass"),
        ((AGE,), "warn"),
        ((Column("age", "string"),), "warn"),
        (None, "error"),
    ],
)
def test_where_a_break_is_allowed_all_else_is_judged_as_ever(candidate, status):
    result = check_schema(candidate, (AGE, NAME), SchemaLimits(is_break_allowed=True))

    assert result.status == status
    assert ("which the policy allows" in result.detail) == bool(result.value)


def test_a_champion_without_a_signature_is_nothing_to_compare():
    assert check_schema((AGE,), None).status == "skip"


@pytest.mark.parametrize(
    ("made", "here", "status"),
    [
        ("1.9.1", "1.9.1", "pass"),
        ("1.9.0", "1.9.1", "warn"),
        ("1.8.1", "1.9.1", "fail"),
        ("2.0.0", "1.9.1", "fail"),
        ("1.9.1rc1", "1.9.1", "warn"),
        ("main", "1.9.1", "fail"),
    ],
)
def test_library_versions_skew_by_minor_and_patch(made, here, status):
    result = check_environment({"scikit-learn": made}, {"scikit-learn": here}, EnvironmentLimits())

    assert result.status == status


@pytest.mark.parametrize("made_with", [{}, {"scikit-learn": "1.9.1"}])
def test_nothing_recorded_or_nothing_installed_is_an_error(made_with):
    assert check_environment(made_with, {}, EnvironmentLimits()).status == "error"


def test_a_library_that_nothing_pins_is_told_and_without_a_version_an_error():
    made_with, running = {"scikit-learn": "1.9.1"}, {"scikit-learn": "1.9.1", "xgboost": "3.0.0"}

    known, unknown, other = (
        check_environment(made_with, running, EnvironmentLimits(), unpinned)
        for unpinned in ({"scikit-learn"}, {"xgboost"}, {"numpy"})
    )

    assert known.status == "pass"
    assert known.detail == "as made: scikit-learn; not pinned by its requirements: scikit-learn"
    assert (unknown.status, unknown.n) == ("error", 2)
    assert "required in no exact version, and none is recorded: xgboost" in unknown.detail
    assert (other.status, other.detail) == ("pass", "as made: scikit-learn")


def test_a_library_of_another_version_fails_though_another_is_not_installed():
    made_with = {"scikit-learn": "1.8.0", "xgboost": "3.0.0"}

    result = check_environment(made_with, {"scikit-learn": "1.9.1"}, EnvironmentLimits())

    assert (result.status, result.value) == ("fail", 1.0)
    assert "not installed here: xgboost" in result.detail


def test_one_unpinned_library_alone_says_nothing_of_what_the_version_was_made_with():
    result = check_environment({}, {}, EnvironmentLimits(), {"scikit-learn"})

    assert (result.status, result.value) == ("error", None)


def test_libraries_that_read_no_saved_model_are_nothing_to_check():
    made_with, running = {"numpy": "2.0"}, {"numpy": "2.4"}

    unasked = check_environment(made_with, running, EnvironmentLimits())
    asked = check_environment(made_with, running, EnvironmentLimits(libraries=None))

    assert (unasked.status, asked.status) == ("skip", "fail")


def test_labels_become_numbers_in_the_order_of_the_models_classes():
    assert encode_labels(["no", "yes", "no"], ["yes", "no"]).tolist() == [1, 0, 1]
    assert encode_labels([False, True], None).tolist() == [0, 1]


@pytest.mark.parametrize("labels", [["no", "maybe"], ["no", None], [float("nan")]])
def test_labels_that_are_missing_or_unknown_are_refused(labels):
    with pytest.raises(LabelError):
        encode_labels(labels, ["no", "yes"])


def test_labels_of_several_types_are_refused():
    with pytest.raises(LabelError, match="of several types"):
        encode_labels(["no", 1], None)
