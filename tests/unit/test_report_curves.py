"""What the report draws of scores and rows: few numbers, scikit-learn's, and of no single row."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_auc_score
from structlog.testing import capture_logs

from handlers.checks import CheckResult
from handlers.checks.fairness import FairnessLimits
from handlers.checks.suite import Suite
from handlers.report.curves import Curves
from tests.unit.report_support import binary_rows, drawn, examined


def test_the_curves_of_both_versions_are_those_of_scikit_learn():
    labels, good, worse = binary_rows()

    curves = drawn(examined("binary", labels, good, worse))

    assert [curve.version for curve in curves.roc] == ["7", "6"]
    areas = [curve.summary for curve in curves.roc]
    assert areas == pytest.approx([roc_auc_score(labels, each) for each in (good, worse)])
    averages = [curve.summary for curve in curves.precision_recall]
    assert averages == pytest.approx(
        [average_precision_score(labels, each) for each in (good, worse)]
    )
    observed, predicted = calibration_curve(labels, good, n_bins=10, strategy="quantile")
    assert curves.calibration[0].x == pytest.approx(predicted)
    assert curves.calibration[0].y == pytest.approx(observed)
    assert curves.positives == pytest.approx(labels.mean())


def test_a_million_rows_keep_few_points_of_the_same_curve():
    labels, good, worse = binary_rows(1_000_000)

    curves = drawn(examined("binary", labels, good, worse))

    for curve in (*curves.roc, *curves.precision_recall):
        assert 400 <= len(curve.x) <= 500
    roc = curves.roc[0]
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(roc.summary, abs=1e-4)
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)


def test_constant_scores_are_drawn_as_chance():
    labels = binary_rows()[0]

    curves = drawn(examined("binary", labels, np.full(2000, 0.3)))

    assert curves.roc[0].summary == 0.5
    assert curves.calibration[0].x == pytest.approx([0.3])
    assert curves.calibration[0].y == pytest.approx([labels.mean()])


def test_labels_of_one_class_have_no_roc():
    curves = drawn(examined("binary", np.zeros(100, dtype=int), np.linspace(0, 1, 100)))

    assert (curves.roc, curves.precision_recall) == ((), ())


def test_scores_that_are_no_probabilities_are_not_calibrated():
    labels, good, _ = binary_rows()

    curves = drawn(examined("binary", labels, good * 10 - 5))

    assert curves.roc[0].summary == pytest.approx(roc_auc_score(labels, good))
    assert curves.calibration == ()


def test_a_version_that_answers_nan_is_left_out_and_the_other_is_not():
    labels, good, worse = binary_rows()
    worse[7] = np.nan

    curves = drawn(examined("binary", labels, good, worse))

    assert [curve.version for curve in curves.roc] == ["7"]


def test_no_point_of_calibration_stands_for_fewer_than_ten_rows():
    labels = np.tile([0, 1], 500)
    scores = np.full(1000, 0.5)
    scores[:3] = [0.1, 0.2, 0.9]  # three people who are told apart from all others

    curves = drawn(examined("binary", labels, scores))

    assert len(curves.calibration[0].x) == 1


def test_more_classes_are_calibrated_by_the_likeliest_and_confused():
    labels = np.repeat([0, 1, 2], 100)
    scores = np.full((300, 3), 0.1)
    scores[np.arange(300), labels] = 0.8
    scores[:50] = [0.1, 0.8, 0.1]  # half of class 0 is taken for class 1

    curves = drawn(examined("multiclass", labels, scores))

    (confusion,) = curves.confusion
    assert confusion.shares == ((0.5, 0.5, 0), (0, 1, 0), (0, 0, 1))
    assert curves.calibration[0].x == pytest.approx([0.8])
    assert curves.calibration[0].y == pytest.approx([250 / 300])
    assert curves.roc == ()


def test_a_regression_is_drawn_in_bins_of_many_rows():
    generator = np.random.default_rng(0)
    labels = generator.normal(100, 20, 2000)
    close, far = labels + generator.normal(0, 2, 2000), labels + generator.normal(5, 10, 2000)

    curves = drawn(examined("regression", labels, close, far))

    assert [band.version for band in curves.fit] == ["7", "6"]
    mine = curves.fit[0]
    assert len(mine.predicted) == 20
    assert mine.predicted == tuple(sorted(mine.predicted))
    assert np.abs(np.subtract(mine.middle, mine.predicted)).max() < 2
    assert all(low < high for low, high in zip(mine.low, mine.high, strict=True))
    assert curves.residuals is not None
    (_, narrow), (_, wide) = curves.residuals.shares
    assert [sum(narrow), sum(wide)] == pytest.approx([1, 1], abs=0.05)
    assert min(share for share in (*narrow, *wide) if share) >= 10 / 2000
    assert max(narrow) > 2 * max(wide)


def test_a_class_of_fewer_than_ten_rows_is_not_drawn():
    labels = np.array([0] * 50 + [1] * 10 + [2] * 9)
    scores = np.eye(4)[np.array([0] * 50 + [1] * 10 + [1] * 9)]

    (confusion,) = drawn(examined("multiclass", labels, scores)).confusion

    assert confusion.shares == ((1, 0, 0, 0), (0, 1, 0, 0), None, None)


def test_an_error_that_few_rows_have_is_not_drawn():
    labels = np.repeat([10.0, 20.0], 100)
    scores = labels + np.tile([-1.0, 1.0], 100)
    scores[7] = 500.0  # one person

    residuals = drawn(examined("regression", labels, scores)).residuals

    assert residuals is not None
    ((_, shares),) = residuals.shares
    assert [share for share in shares if share] == pytest.approx([0.5, 0.5], abs=0.01)


def moved(name: str, psi: float) -> CheckResult:
    return CheckResult(f"drift.{name}", "fail", psi, 0.2, 2000)


def test_the_columns_that_moved_most_are_drawn_with_all_their_rows():
    generator = np.random.default_rng(0)
    reference = pd.DataFrame({f"x{n}": generator.normal(size=2000) for n in range(6)})
    current = reference.assign(x5=reference["x5"] + 2)
    current.loc[:499, "x5"] = np.nan
    results = [moved(f"x{n}", n / 10) for n in range(6)]
    labels, good, _ = binary_rows()

    of = examined("binary", labels, good, features=current, reference=reference)
    histograms = drawn(of, *results).drift

    assert [one.column for one in histograms] == ["x5", "x4", "x3", "x2"]
    assert histograms[0].bins[-1] == "missing"
    assert histograms[0].current[-1] == 0.25
    assert histograms[0].reference[-1] == 0
    for one in histograms:
        assert [sum(one.reference), sum(one.current)] == pytest.approx([1, 1], abs=0.01)


def drift_drawn(reference: list[object], current: list[object], **more: Any) -> Curves:
    labels, good, _ = binary_rows(len(current))
    frames = {"features": pd.DataFrame({"who": current})}
    frames["reference"] = pd.DataFrame({"who": reference})
    return drawn(examined("binary", labels, good, **frames, **more), moved("who", 0.3))


def test_values_that_few_rows_of_one_table_have_are_not_named():
    (histogram,) = drift_drawn(
        ["a"] * 500 + ["alice@example.com"] * 9 + ["b"] * 11,
        ["a"] * 500 + ["alice@example.com"] * 1 + ["b"] * 10,
    ).drift

    assert histogram.bins == ("a", "b", "others")
    assert histogram.current == pytest.approx((500 / 511, 10 / 511, 0))


def test_a_bar_of_numbers_that_few_rows_have_is_left_empty():
    salaries: list[object] = list(np.linspace(30_000, 31_000, 300))

    (histogram,) = drift_drawn(salaries, [*salaries, *[9e6] * 9, *[None] * 9]).drift

    assert histogram.bins[-1] == "missing"
    assert histogram.current[-2:] == (0, 0)
    assert histogram.current[0] == pytest.approx(300 / 318)


def test_a_value_that_came_or_went_as_a_whole_is_named():
    (histogram,) = drift_drawn(["a"] * 500 + ["old"] * 20, ["a"] * 500 + ["new"] * 20).drift

    assert set(histogram.bins) == {"a", "old", "new"}


def test_a_column_of_very_many_values_is_not_drawn():
    people = [f"person {n % 60}" for n in range(6000)]  # a hundred rows each

    assert drift_drawn(people, people).drift == ()


def test_of_a_column_of_very_many_values_gaps_alone_are_told():
    people = [f"person {n % 60}" for n in range(6000)]

    (histogram,) = drift_drawn(people, [*people[:3000], *[None] * 3000]).drift

    assert histogram.bins == ("others", "missing")
    assert histogram.current == (0.5, 0.5)


@pytest.mark.parametrize("values", [["yes", "no"], list(range(20))])
def test_a_sensitive_column_is_not_drawn_though_the_model_sees_it(values: list[object]):
    column = values * 200

    assert drift_drawn(column, column, sensitive={"who": column}).drift == ()
    assert drift_drawn(column, column).drift != ()


def test_what_may_not_be_drawn_takes_no_other_columns_place():
    rows = pd.DataFrame({f"x{n}": list("ab") * 300 for n in range(6)})
    labels, good, _ = binary_rows(600)
    of = examined(
        "binary", labels, good, features=rows, reference=rows, sensitive={"x5": rows["x5"].tolist()}
    )

    histograms = drawn(of, *(moved(f"x{n}", n / 10) for n in range(6))).drift

    assert [one.column for one in histograms] == ["x4", "x3", "x2", "x1"]


def test_groups_have_fairlearns_rates_and_small_ones_are_left_out():
    labels, decided = np.tile([0, 1], 600), np.tile([0.0, 1.0, 1.0, 1.0], 300)
    groups = ["a"] * 600 + ["b"] * 590 + ["c"] * 10

    of = examined("binary", labels, decided, sensitive={"half": groups})
    curves = drawn(of, suite=Suite(fairness=FairnessLimits("half")))

    assert curves.attribute == "half"
    assert [(one.name, one.n) for one in curves.groups] == [("a", 600), ("b", 590)]
    first = curves.groups[0]
    assert (first.selected, first.true_positive, first.false_positive) == (0.75, 1.0, 0.5)


def test_groups_that_nobody_asked_about_are_not_looked_at():
    labels, good, _ = binary_rows()

    curves = drawn(examined("binary", labels, good, sensitive={"half": ["a", "b"] * 1000}))

    assert curves.groups == ()


def test_what_cannot_be_computed_is_left_out_with_a_warning():
    labels, good, _ = binary_rows()

    with capture_logs() as logs:
        curves = drawn(examined("binary", labels[:-1], good))

    assert (curves.roc, curves.calibration) == ((), ())
    assert {(one["event"], one["log_level"]) for one in logs} == {("report_part_failed", "warning")}


def test_without_scores_there_is_nothing_to_draw():
    assert drawn(examined("binary", np.array([]), np.array([]))) == Curves()
