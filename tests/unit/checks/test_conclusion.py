"""The rule point_and_ci: every edge of its table."""

from decimal import Decimal

import pytest

from handlers.conclusion import Comparison, conclude

MARGIN = Decimal("0.02")


def comparison(delta=0.03, se=0.005, *, lower=None, **other):
    lower = delta - 1.6449 * se if lower is None else lower
    upper = 2 * delta - lower
    numbers = {"n": 2000, "fewest": 200, "n_pos": 200, "n_neg": 1800} | other
    return Comparison(
        "roc_auc", "delong", 0.95, delta=delta, se=se, variance=se**2, lower=lower, upper=upper,
        interval_low=lower, interval_high=upper, candidate=0.8 + delta, champion=0.8, **numbers,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("compared", "ruling", "says"),
    [
        (comparison(), "better", "better by 0.03"),
        (comparison(0.02), "better", "needs 0.02"),
        (comparison(0.82 - 0.80), "better", "needs 0.02"),
        (comparison(0.83 - 0.81), "better", "needs 0.02"),
        (comparison(0.87 - 0.85), "better", "needs 0.02"),
        (comparison(0.0199999996), "better", "better by 0.02"),
        (comparison(0.019999999), "not_better", "better by 0.019999999"),
        (comparison(0.0), "not_better", "needs 0.02"),
        (comparison(-0.05), "not_better", "worse by 0.05, needs 0.02"),
        (comparison(0.03, 0.01), "better", "better by 0.03"),
        (comparison(0.03, 0.0100001), "inconclusive", "too uncertain to tell"),
        (comparison(0.0, 0.02), "inconclusive", "too uncertain to tell"),
        (comparison(-0.01, 0.02), "inconclusive", "too uncertain to tell"),
        (comparison(-0.2, 0.02), "not_better", "worse by 0.2, by at least 0.167102 at 0.95"),
        (comparison(0.03, lower=0.0), "inconclusive", "not above 0"),
        (comparison(0.03, lower=-0.001), "inconclusive", "not above 0"),
        (comparison(0.03, lower=0.000000001), "better", "lower bound"),
        (comparison(0.03, fewest=50, n_pos=50), "better", "better by"),
        (comparison(0.03, fewest=49, n_pos=49), "inconclusive", "49 positive and 1800 negative"),
        (comparison(0.03, fewest=49, n_neg=49), "inconclusive", "200 positive and 49 negative"),
        (comparison(-0.2, 0.02, fewest=49, n_pos=49), "inconclusive", "too few rows"),
        (comparison(0.03, fewest=9, n_pos=None, n_neg=None), "inconclusive", "9 in the smallest"),
        (comparison(0.0, 0.0, lower=0.0), "not_better", "no difference"),
        (comparison(0.5, 0.0, lower=0.5), "inconclusive", "standard error is 0"),
        (comparison(float("nan")), "inconclusive", "nothing was measured"),
        (comparison(0.03, se=float("inf")), "inconclusive", "nothing was measured"),
        (
            Comparison("roc_auc", "delong", 0.95, 9, 0, 9, 0, problem="9 positive and 0 negative"),
            "inconclusive",
            "9 positive and 0 negative",
        ),
        (Comparison("roc_auc", "delong", 0.95, 0, 0), "inconclusive", "nothing was measured"),
    ],
)
def test_the_rule_by_its_table(compared, ruling, says):
    conclusion = conclude(compared, MARGIN, 0.95)

    assert conclusion.ruling == ruling
    assert says in "; ".join(conclusion.reasons)


def test_a_float_margin_means_what_its_digits_say():
    assert conclude(comparison(0.82 - 0.80), 0.02, 0.95).ruling == "better"


def test_without_a_margin_the_lower_bound_alone_decides():
    assert conclude(comparison(0.03, 0.015), 0, 0.95).ruling == "better"
    assert conclude(comparison(0.01, 0.015), 0, 0.95).ruling == "inconclusive"


def test_a_policy_may_allow_more_uncertainty_and_ask_for_more_rows():
    unsure = comparison(0.05, 0.02)

    assert conclude(unsure, MARGIN, 0.95).ruling == "inconclusive"
    assert conclude(unsure, MARGIN, 0.95, max_se=0.02).ruling == "better"
    assert conclude(unsure, MARGIN, 0.95, 0.02, min_per_class=201).ruling == "inconclusive"


def test_what_surely_reaches_the_margin_is_better_however_uncertain_by_how_much():
    far, near = comparison(0.15, 0.011), comparison(0.037, 0.011)

    assert conclude(far, MARGIN, 0.95).ruling == "better"
    assert conclude(near, MARGIN, 0.95).ruling == "inconclusive"
    assert conclude(far, MARGIN, 0.95, min_per_class=201).ruling == "inconclusive"


def test_several_doubts_are_all_told():
    reasons = conclude(comparison(0.03, 0.02, fewest=3, n_pos=3), MARGIN, 0.95).reasons

    assert len(reasons) == 3


def test_another_confidence_than_the_measured_one_is_refused():
    with pytest.raises(ValueError, match=r"0\.95"):
        conclude(comparison(), MARGIN, 0.99)
