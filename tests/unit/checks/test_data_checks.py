"""Quality, sanity, drift and fairness: what each says of rows made for it."""

import time

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, f1_score, log_loss, root_mean_squared_error

from handlers.checks.drift import (
    DriftLimits,
    check_drift,
    ks_distance,
    psi_of_counts,
    psi_of_numbers,
)
from handlers.checks.fairness import FairnessLimits, check_fairness
from handlers.checks.metrics import METRICS, metric_named
from handlers.checks.quality import Bound, QualityLimits, check_quality
from handlers.checks.sanity import SanityLimits, check_sanity
from steward.policy.examination import _ALSO_CALLED, BETTER

LABELS = np.array([0, 0, 1, 1, 0, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])


def by_name(results):
    return {result.name: result for result in results}


def test_quality_measures_what_scikit_learn_measures():
    results = by_name(check_quality("binary", LABELS, SCORES, QualityLimits()))

    assert results["quality.log_loss"].value == pytest.approx(log_loss(LABELS, SCORES))
    assert results["quality.brier_score"].value == pytest.approx(brier_score_loss(LABELS, SCORES))
    assert results["quality.f1"].value == pytest.approx(f1_score(LABELS, SCORES >= 0.5))
    assert {result.status for result in results.values()} == {"pass"}
    assert {result.n for result in results.values()} == {6}


@pytest.mark.parametrize(
    ("metric", "bound", "status"),
    [
        ("auc", Bound(min=8 / 9 - 1e-10), "pass"),
        ("auc", Bound(min=0.95), "fail"),
        ("roc_auc", Bound(max=0.5), "fail"),
        ("log_loss", Bound(max=0.1), "fail"),
        ("accuracy", Bound(min=0.83, max=0.84), "pass"),
    ],
)
def test_quality_holds_a_metric_against_its_bounds(metric, bound, status):
    results = by_name(check_quality("binary", LABELS, SCORES, QualityLimits({metric: bound})))

    assert results[f"quality.{metric_named(metric).name}"].status == status


@pytest.mark.parametrize("name", ["rmse", "no_such_metric"])
def test_a_bound_on_what_cannot_be_measured_is_an_error(name):
    limits = QualityLimits({name: Bound(min=0.5)})

    result = by_name(check_quality("binary", LABELS, SCORES, limits))[f"quality.{name}"]

    assert result.status == "error"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_one_class_in_the_holdout_is_an_error_of_the_auc():
    labels = np.ones(6, dtype=int)

    results = by_name(check_quality("binary", labels, SCORES, QualityLimits()))

    assert results["quality.roc_auc"].status == "error"


def test_quality_of_values_is_their_error():
    truth, answers = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])

    results = by_name(check_quality("regression", truth, answers, QualityLimits()))

    expected = root_mean_squared_error(truth, answers)
    assert results["quality.root_mean_squared_error"].value == pytest.approx(expected)


def test_quality_of_three_classes_is_averaged_over_them():
    labels = np.array([0, 1, 2, 0, 1, 2])
    scores = np.full((6, 3), 0.1)
    scores[np.arange(6), labels] = 0.8

    results = by_name(check_quality("multiclass", labels, scores, QualityLimits()))

    assert results["quality.roc_auc"].value == 1.0
    assert "quality.brier_score" not in results


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_number_fails(broken):
    (result,) = check_sanity("binary", LABELS, np.array([0.1] * 5 + [broken]), SanityLimits())

    assert (result.name, result.status, result.value) == ("sanity.finite", "fail", 1.0)


def test_the_same_answer_to_every_row_fails():
    results = by_name(check_sanity("binary", LABELS, np.full(6, 0.3), SanityLimits()))

    assert results["sanity.not_constant"].status == "fail"


def test_an_auc_of_one_is_an_alarm_unless_it_is_allowed():
    perfect = LABELS * 0.8 + SCORES * 0.1

    alarmed = by_name(check_sanity("binary", LABELS, perfect, SanityLimits()))
    allowed = by_name(check_sanity("binary", LABELS, perfect, SanityLimits(leak_at=None)))

    assert alarmed["sanity.leak"].status == "fail"
    assert "sanity.leak" not in allowed


def test_without_labels_a_leak_cannot_be_told():
    results = by_name(check_sanity("binary", None, SCORES, SanityLimits()))

    assert results["sanity.leak"].status == "error"


def test_no_answers_are_no_pass():
    (result,) = check_sanity("binary", None, np.empty(0), SanityLimits())

    assert result.status == "error"


COUNTS = st.lists(st.integers(0, 500), min_size=4, max_size=4).map(np.array)


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_psi_is_never_negative_and_symmetric(one, other):
    psi = psi_of_counts(one, other)

    assert psi >= 0
    assert psi == pytest.approx(psi_of_counts(other, one))


@settings(deadline=None)
@given(COUNTS)
def test_psi_of_the_same_counts_is_zero(counts):
    assert psi_of_counts(counts, counts) == 0


def test_psi_is_the_formula():
    psi = psi_of_counts(np.array([49, 50]), np.array([24, 75]))

    shares, shares_now = np.array([49.5, 50.5]) / 100, np.array([24.5, 75.5]) / 100
    assert psi == pytest.approx(((shares_now - shares) * np.log(shares_now / shares)).sum())


def test_a_shift_by_half_a_deviation_is_drift_and_none_is_not():
    generator = np.random.default_rng(1)
    reference = pd.DataFrame(
        {"still": generator.normal(size=5000), "moved": generator.normal(size=5000)}
    )
    current = pd.DataFrame(
        {"still": generator.normal(size=5000), "moved": generator.normal(0.5, size=5000)}
    )

    results = by_name(check_drift(reference, current, DriftLimits()))

    assert results["drift.still"].status == "pass"
    assert results["drift.moved"].status == "fail"
    assert results["drift.moved"].value == pytest.approx(0.26, abs=0.05)
    assert results["drift.moved"].numbers["ks_d"] == pytest.approx(0.2, abs=0.03)


def test_the_distance_fails_by_the_policys_bound_alone():
    generator = np.random.default_rng(1)
    reference = pd.DataFrame({"x": generator.normal(size=5000)})
    current = pd.DataFrame({"x": generator.normal(0.3, size=5000)})

    (warned,) = check_drift(reference, current, DriftLimits())
    (failed,) = check_drift(reference, current, DriftLimits(ks_max=0.1))

    assert (warned.status, failed.status) == ("warn", "fail")
    assert failed.detail == f"{warned.detail} (more than 0.1)"


def test_a_small_shift_of_many_rows_is_no_drift():
    generator = np.random.default_rng(1)
    reference, current = generator.normal(size=100_000), generator.normal(0.05, size=100_000)

    assert psi_of_numbers(reference, current) < 0.01
    assert ks_distance(reference, current) < 0.05


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (["a", "b"] * 300, ["a", "b"] * 300, "pass"),
        (["a", "b"] * 300, ["a", "new"] * 300, "fail"),
        (["a", "b"] * 300, ["a", None] * 300, "fail"),
        ([0, 1] * 300, [0, 1] * 300, "pass"),
        ([0, 1] * 300, [1, 1] * 300, "fail"),
        ([7.0] * 600, [6.0] * 600, "fail"),
        ([1.5, 2.5] * 300, [1.5, np.nan] * 300, "fail"),
        ([1.5, 2.5] * 300, ["x", "y"] * 300, "error"),
        ([np.nan] * 600, [1.0] * 600, "fail"),
        ([True, False] * 300, [True, True] * 300, "fail"),
    ],
)
def test_levels_gaps_and_constants_drift_too(before, after, status):
    frames = pd.DataFrame({"x": before}), pd.DataFrame({"x": after})

    (result,) = check_drift(*frames, DriftLimits())

    assert result.status == status


def test_few_rows_are_no_drift_and_no_pass():
    rows = pd.DataFrame({"x": np.arange(499.0)})

    (result,) = check_drift(rows, rows, DriftLimits())

    assert (result.status, result.n) == ("skip", 499)


def test_a_column_that_is_gone_is_an_error():
    before, after = pd.DataFrame({"x": np.arange(600.0)}), pd.DataFrame({"y": np.arange(600.0)})

    (result,) = check_drift(before, after, DriftLimits())

    assert (result.name, result.status) == ("drift.x", "error")


def test_the_checks_know_every_name_that_a_policy_may_give_a_metric():
    assert {name: metric.better for name, metric in METRICS.items()} == BETTER
    assert {name: metric_named(name).name for name in _ALSO_CALLED} == _ALSO_CALLED


GENDER = FairnessLimits(
    "gender",
    demographic_parity_difference_max=0.1,
    equalized_odds_difference_max=0.1,
    min_group=50,
    min_per_class=10,
)


def grouped(rates, size=100):
    """Groups of ``size`` rows, half of them positive, with this share of yes in both halves."""
    labels, decided, groups = [], [], []
    for group, rate in rates.items():
        half = size // 2
        yes = round(rate * half)
        labels += [1] * half + [0] * half
        decided += ([1] * yes + [0] * (half - yes)) * 2
        groups += [group] * size
    return np.array(labels), np.array(decided), groups


def test_groups_treated_alike_pass():
    results = check_fairness(*grouped({"f": 0.5, "m": 0.54}), GENDER)

    assert [result.status for result in results] == ["pass", "pass"]
    assert [result.value for result in results] == pytest.approx([0.04, 0.04])


def fairlearns(labels, decided, groups):
    """Its own two numbers, of all the rows as they are."""
    functions = (demographic_parity_difference, equalized_odds_difference)
    return [one(labels, decided, sensitive_features=groups) for one in functions]


def drawn_rows(generator, n, names):
    labels = generator.integers(0, 2, n)
    groups = generator.choice(names, n)
    decided = generator.random(n) < generator.random(len(names))[np.searchsorted(names, groups)]
    return labels, decided.astype(int), groups


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.booleans())
def test_the_differences_are_those_of_fairlearn(seed, count, is_numbered):
    names = np.arange(count) if is_numbered else np.array(list("abcdef"[:count]))
    labels, decided, groups = drawn_rows(np.random.default_rng(seed), 2000, names)

    results = check_fairness(labels, decided, groups.tolist(), GENDER)

    assert [result.value for result in results] == fairlearns(labels, decided, groups)
    assert {result.n for result in results} == {2000}


def test_many_rows_take_a_fraction_of_the_time_that_fairlearn_takes_row_by_row():
    labels, decided, groups = drawn_rows(np.random.default_rng(0), 300_000, np.array(["f", "m"]))
    started = time.process_time()
    expected = fairlearns(labels, decided, groups)
    row_by_row = time.process_time() - started
    started = time.process_time()

    results = check_fairness(labels, decided, groups.tolist(), GENDER)

    assert time.process_time() - started < row_by_row / 2
    assert [result.value for result in results] == expected


def test_groups_treated_otherwise_fail_and_the_worst_pair_counts():
    results = by_name(check_fairness(*grouped({"f": 0.5, "m": 0.52, "x": 0.8}), GENDER))

    result = results["fairness.gender.equalized_odds_difference"]
    assert (result.status, result.value) == ("fail", pytest.approx(0.3))
    assert result.detail == "differs by 0.300 between 3 groups of gender, more than 0.1"


def test_a_row_without_a_group_is_an_error():
    labels, decided, groups = grouped({"f": 0.5, "m": 0.5})

    results = check_fairness(labels, decided, [None, *groups[1:]], GENDER)

    assert {result.status for result in results} == {"error"}
    assert "1 of 200" in results[0].detail


def test_one_group_is_nothing_to_compare():
    results = check_fairness(*grouped({"f": 0.5}), GENDER)

    assert {result.status for result in results} == {"skip"}


def test_a_group_too_small_is_left_out_and_told():
    labels, decided, groups = grouped({"f": 0.5, "m": 0.5})

    results = check_fairness(np.append(labels, 1), np.append(decided, 0), [*groups, "tiny"], GENDER)

    assert {result.status for result in results} == {"warn"}
    assert "tiny" in results[0].detail
    assert results[0].value == 0


@pytest.mark.parametrize(("size", "status"), [(50, "pass"), (48, "error")])
def test_fifty_rows_of_each_group_are_needed(size, status):
    results = check_fairness(*grouped({"f": 0.5, "m": 0.5}, size), GENDER)

    assert {result.status for result in results} == {status}


def test_ten_rows_of_each_class_are_needed():
    labels, decided, groups = grouped({"f": 0.5, "m": 0.5})
    labels[:41] = 0  # leaves nine positive rows of group f

    results = check_fairness(labels, decided, groups, GENDER)

    assert {result.status for result in results} == {"error"}


def test_a_bound_that_is_not_set_is_not_checked():
    limits = FairnessLimits("gender", equalized_odds_difference_max=0.1)

    results = check_fairness(*grouped({"f": 0.5, "m": 0.5}), limits)

    assert [result.name for result in results] == ["fairness.gender.equalized_odds_difference"]
