"""Paired DeLong against its definition computed plainly; the paired bootstrap."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score

from handlers.checks.metrics import METRICS
from handlers.comparison import compare_auc, compare_by_bootstrap


def plain_delong(labels, candidate, champion):
    """The definition: a kernel of every pair of a positive and a negative row, O(m n)."""

    def kernel(scores):
        positives, negatives = scores[labels == 1], scores[labels == 0]
        gaps = positives[:, None] - negatives[None, :]
        return np.where(gaps > 0, 1.0, np.where(gaps == 0, 0.5, 0.0))

    kernels = [kernel(candidate), kernel(champion)]
    m, n = kernels[0].shape
    of_positives = np.cov([k.mean(axis=1) for k in kernels])
    of_negatives = np.cov([k.mean(axis=0) for k in kernels])
    covariance = of_positives / m + of_negatives / n
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return kernels[0].mean(), kernels[1].mean(), variance


@st.composite
def scored_rows(draw):
    """Few or many of a class, scores of few or many distinct values: imbalance and ties."""
    n_pos, n_neg = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    levels = draw(st.sampled_from([2, 3, 10, 10**6]))
    score = st.integers(0, levels)
    n = n_pos + n_neg
    labels = np.array(draw(st.permutations([1] * n_pos + [0] * n_neg)))
    one, other = (
        np.array(draw(st.lists(score, min_size=n, max_size=n))) / levels for _ in range(2)
    )
    return labels, one, other


@settings(deadline=None)
@given(scored_rows())
def test_delong_by_midranks_is_the_definition_over_all_pairs(rows):
    candidate, champion, variance = plain_delong(*rows)

    compared = compare_auc(*rows)

    assert compared.candidate == pytest.approx(candidate, abs=1e-12)
    assert compared.champion == pytest.approx(champion, abs=1e-12)
    assert compared.delta == pytest.approx(candidate - champion, abs=1e-12)
    assert compared.variance == pytest.approx(variance, abs=1e-12)


@settings(deadline=None)
@given(scored_rows())
def test_each_auc_is_scikit_learns(rows):
    labels, candidate, champion = rows

    compared = compare_auc(labels, candidate, champion)

    assert compared.candidate == pytest.approx(roc_auc_score(labels, candidate), abs=1e-12)
    assert compared.champion == pytest.approx(roc_auc_score(labels, champion), abs=1e-12)


@settings(deadline=None)
@given(scored_rows())
def test_changing_sides_changes_the_sign_alone(rows):
    labels, candidate, champion = rows

    there, back = compare_auc(labels, candidate, champion), compare_auc(labels, champion, candidate)

    assert there.delta == pytest.approx(-back.delta, abs=1e-12)
    assert there.variance == pytest.approx(back.variance, abs=1e-15)
    assert there.lower == pytest.approx(-back.upper, abs=1e-12)
    assert there.interval_low == pytest.approx(-back.interval_high, abs=1e-12)


@settings(deadline=None)
@given(scored_rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_a_monotone_scale_do_not_matter(rows, random):
    labels, candidate, champion = rows
    order = list(range(len(labels)))
    random.shuffle(order)

    plain = compare_auc(labels, candidate, champion)
    moved = compare_auc(labels[order], np.exp(candidate[order]), 3 * champion[order] - 7)

    assert moved.delta == pytest.approx(plain.delta, abs=1e-12)
    assert moved.se == pytest.approx(plain.se, abs=1e-12)


@settings(deadline=None)
@given(scored_rows())
def test_calling_the_other_class_positive_keeps_the_difference(rows):
    labels, candidate, champion = rows

    plain = compare_auc(labels, candidate, champion)
    turned = compare_auc(1 - labels, -candidate, -champion)

    assert turned.delta == pytest.approx(plain.delta, abs=1e-12)
    assert turned.se == pytest.approx(plain.se, abs=1e-12)
    assert (turned.n_pos, turned.n_neg) == (plain.n_neg, plain.n_pos)


def test_identical_predictions_have_no_difference_and_no_error():
    labels = np.array([0, 1] * 50)
    scores = np.linspace(0, 1, 100)

    compared = compare_auc(labels, scores, scores)

    assert (compared.delta, compared.se, compared.lower) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0], [0, 0, 1], []])
def test_too_few_of_a_class_is_a_problem_and_no_number(labels):
    scores = np.arange(len(labels), dtype=float)

    compared = compare_auc(np.array(labels, dtype=int), scores, scores[::-1])

    assert compared.problem
    assert compared.delta is compared.se is compared.lower is None
    assert compared.n_pos == sum(labels)


@pytest.mark.parametrize(
    ("labels", "candidate", "says"),
    [
        ([0, 1, 2, 1], [0.1, 0.2, 0.3, 0.4], "0 and 1"),
        ([0, 1, 0, 1], [0.1, 0.2, float("nan"), 0.4], "finite"),
        ([0, 1, 0, 1], [0.1, 0.2, float("inf"), 0.4], "finite"),
        ([0, 1, 0, 1], [0.1, 0.2, 0.3], "one entry a row"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(labels, candidate, says):
    champion = np.array([0.4, 0.3, 0.2, 0.1])

    with pytest.raises(ValueError, match=says):
        compare_auc(np.array(labels), np.array(candidate), champion)


def test_the_bounds_are_the_normal_ones_at_the_confidence():
    generator = np.random.default_rng(5)
    labels = np.arange(400) % 2
    one, other = generator.normal(size=(2, 400)) + labels

    compared = compare_auc(labels, one, other, confidence=0.9)

    quantile = NormalDist().inv_cdf
    assert compared.lower == pytest.approx(compared.delta - quantile(0.9) * compared.se)
    assert compared.interval_high == pytest.approx(compared.delta + quantile(0.95) * compared.se)


def test_the_interval_covers_a_true_difference_of_zero_as_often_as_it_says():
    generator = np.random.default_rng(11)
    labels = np.arange(300) % 3 == 0
    trials = 600

    inside = 0
    for _ in range(trials):
        common, one, other = generator.normal(size=(3, 300))
        compared = compare_auc(labels.astype(int), common + one + labels, common + other + labels)
        inside += compared.interval_low <= 0 <= compared.interval_high

    assert 0.92 <= inside / trials <= 0.98


def test_a_comparison_is_plain_json_numbers():
    labels = np.array([0, 1] * 10)

    numbers = compare_auc(labels, np.arange(20.0), np.arange(20.0)[::-1]).as_dict()

    assert {type(value) for value in numbers.values()} <= {int, float, str}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bootstrap_and_delong_agree_on_the_standard_error(seed):
    generator = np.random.default_rng(seed)
    labels = (np.arange(300) % 3 == 0).astype(int)
    one, other = generator.normal(size=(2, 300)) + labels
    exact = compare_auc(labels, one, other)

    drawn = compare_by_bootstrap(
        "roc_auc", lambda y, s: compare_auc(y, s, s).candidate, labels, one, other,
        better="higher", resamples=200, seed=seed,
    )  # fmt: skip

    assert drawn.delta == pytest.approx(exact.delta, abs=1e-12)
    assert drawn.se == pytest.approx(exact.se, rel=0.3)


def test_the_bootstrap_is_repeatable_and_its_seed_matters():
    labels = np.arange(60) % 2
    one, other = np.random.default_rng(3).random((2, 60))

    def accuracy(truth, scores):
        return accuracy_score(truth, scores >= 0.5)

    first, again, otherwise = (
        compare_by_bootstrap(
            "accuracy", accuracy, labels, one, other, better="higher", resamples=100, seed=seed
        )
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first.se != otherwise.se


def test_the_bootstrap_of_an_error_counts_less_as_better():
    labels = np.linspace(0, 1, 200)
    noise = np.random.default_rng(2).normal(size=200)

    compared = compare_by_bootstrap(
        "mae", mean_absolute_error, labels, labels + 0.1 * noise, labels + noise,
        better="lower", is_classification=False, resamples=100,
    )  # fmt: skip

    assert compared.candidate < compared.champion
    assert compared.delta > 0
    assert compared.lower > 0
    assert (compared.fewest, compared.n_pos) == (200, None)


def test_every_resample_keeps_the_rows_of_each_class():
    labels = np.array([1, 1] + [0] * 98)
    seen = []

    def counting(truth, scores):
        seen.append(int(truth.sum()))
        return 0.0

    compare_by_bootstrap(
        "m", counting, labels, np.arange(100.0), np.arange(100.0), better="higher", resamples=20
    )

    assert set(seen) == {2}


def test_the_bootstrap_of_one_class_is_a_problem():
    ones, scores = np.ones(10, dtype=int), np.arange(10.0)

    compared = compare_by_bootstrap("f1", accuracy_score, ones, scores, scores, better="higher")

    assert compared.problem
    assert compared.delta is None


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("log_loss", 2),
        ("log_loss", 3),
        ("accuracy", 2),
        ("accuracy", 3),
        ("brier_score", 2),
        ("root_mean_squared_error", 2),
    ],
)
def test_a_metric_by_rows_is_the_metric(name, classes):
    metric = METRICS[name]
    generator = np.random.default_rng(8)
    labels = generator.integers(classes, size=60)
    one, other = generator.dirichlet(np.ones(classes), size=(2, 60))
    scores = (one, other) if classes == 3 else (one[:, 1], other[:, 1])
    arguments = {"better": metric.better, "resamples": 30}

    plain = compare_by_bootstrap(name, metric.function, labels, *scores, **arguments)
    quick = compare_by_bootstrap(
        name, metric.function, labels, *scores, by_row=metric.by_row, **arguments
    )

    assert quick.se == pytest.approx(plain.se, rel=1e-9)
    assert quick.lower == pytest.approx(plain.lower, rel=1e-9)
