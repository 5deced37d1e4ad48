"""The suite as a whole, own checks among it, on a real model; and the example package."""

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from handlers.checks import CheckResult, worst
from handlers.checks.context import Examined, Handle
from handlers.checks.drift import DriftLimits
from handlers.checks.fairness import FairnessLimits
from handlers.checks.latency import LatencyLimits
from handlers.checks.own import OwnCheck, find_own, run_own
from handlers.checks.robustness import RobustnessLimits
from handlers.checks.suite import Suite, judge_facts, run_suite
from steward.errors import ModelUnfitError, PermanentError, TransientError
from steward.ports import Column

EXAMPLE = Path(__file__).parents[3] / "examples" / "custom_check"
EVERYTHING = Suite(
    latency=LatencyLimits(),
    drift=DriftLimits(min_rows=50),
    fairness=FairnessLimits("half", equalized_odds_difference_max=0.2),
    robustness=RobustnessLimits(),
)


def handle(predict, version="2"):
    return Handle(
        version,
        predict,
        time=lambda _features, rounds: [1.0] * rounds,
        inputs=(Column("x", "double"),),
        libraries={"scikit-learn": "1.9.1"},
    )


@pytest.fixture(scope="module")
def examined():
    data = load_breast_cancer(as_frame=True)
    features, labels = data.data[["mean radius", "mean texture"]], data.target.to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[::2], labels[::2])

    def predict(frame):
        return model.predict_proba(frame)[:, 1]

    holdout = features[1::2]
    return Examined(
        model="cancer",
        task="binary",
        candidate=handle(predict),
        champion=handle(predict, "1"),
        features=holdout,
        champion_features=holdout,
        labels=labels[1::2],
        scores=predict(holdout),
        reference=features[::2],
        sensitive={"half": np.arange(len(holdout)) % 2},
        running={"scikit-learn": "1.9.1"},
    )


def bare():
    """An examination that got nothing but a model that cannot be asked."""

    def refuse(_features):
        raise PermanentError("the model crashed")

    return Examined(model="m", task="binary", candidate=Handle("2", refuse))


def test_a_sound_model_passes_every_check_of_the_suite(examined):
    results = {result.name: result for result in run_suite(examined, EVERYTHING)}

    unsound = {name: r.detail for name, r in results.items() if r.status in {"fail", "error"}}
    assert unsound == {}
    assert results["quality.roc_auc"].value > 0.9
    assert results["robustness.noise.metric_drop"].status == "pass"
    assert results["robustness.column_order"].status == "warn"  # scikit-learn refuses it
    assert results["latency.median_ratio"].value == 1.0
    assert results["determinism.alone"].status == "pass"
    assert len(set(results)) == len(run_suite(examined, EVERYTHING))
    assert all(result.seconds > 0 for result in results.values())


def test_a_model_that_refuses_gaps_cannot_be_robust_against_them(examined):
    suite = Suite(robustness=RobustnessLimits(missing_drop_max=0.1))

    results = {result.name: result for result in run_suite(examined, suite)}

    assert results["robustness"].status == "error"
    assert "NaN" in results["robustness"].detail
    assert results["robustness.noise.metric_drop"].status == "pass"


def test_results_are_json(examined):
    facts = judge_facts(examined.candidate, examined.champion, EVERYTHING)
    text = json.dumps([one.as_dict() for one in (*facts, *run_suite(examined, EVERYTHING))])

    assert [one["name"] for one in json.loads(text)][:3] == [
        "schema",
        "environment",
        "sanity.finite",
    ]


def test_what_stands_in_the_files_is_judged_without_a_row_or_an_answer():
    def unasked(_features):
        raise AssertionError("no model is asked")

    more = (Column("x", "double"), Column("extra_score", "double"))
    libraries = {"scikit-learn": sklearn.__version__}
    candidate = replace(handle(unasked), inputs=more, time=None, libraries=libraries)

    schema, environment = judge_facts(candidate, handle(unasked, "1"), Suite())
    alone = judge_facts(candidate, None, Suite(environment=None))

    assert (schema.status, schema.detail) == ("fail", "new required column extra_score")
    assert (environment.name, environment.status) == ("environment", "pass")
    assert [one.status for one in alone] == ["skip"]
    assert judge_facts(candidate, None, Suite(schema=None, environment=None)) == []


def test_what_could_not_be_had_is_an_error_in_every_check():
    results = run_suite(bare(), EVERYTHING)

    assert {result.status for result in results} == {"error"}
    assert worst(results) == "error"


def timed_on(columns):
    """A stopwatch of a model that reads these columns, and refuses rows without them."""

    def time(frame, rounds):
        return [float(len(frame[columns]))] * rounds

    return time


def test_each_model_is_timed_on_its_own_columns(examined):
    other = replace(
        examined,
        candidate=replace(examined.candidate, time=timed_on(["mean radius"])),
        champion=replace(examined.champion, time=timed_on(["mean radius", "mean texture"])),
        features=examined.features[["mean radius"]],
    )

    results = {result.name: result for result in run_suite(other, Suite(latency=LatencyLimits()))}

    assert results["latency.median_ratio"].status == "pass", results["latency.median_ratio"]
    assert results["latency.p99_ratio"].status == "pass"


def test_a_champion_whose_columns_could_not_be_had_is_not_timed_on_others(examined):
    lacking = replace(examined, champion_features=None)

    results = {result.name: result for result in run_suite(lacking, Suite(latency=LatencyLimits()))}

    assert results["latency"].status == "error"
    assert "the champion's columns of the holdout could not be had" in results["latency"].detail


def test_a_column_that_the_version_does_not_read_is_no_drift(examined):
    reads_one = replace(
        examined,
        candidate=replace(examined.candidate, inputs=(Column("mean radius", "double"),)),
        features=examined.features[["mean radius"]],
    )
    limits = DriftLimits(min_rows=50, columns=("mean radius", "mean texture", "age"))

    results = {result.name: result for result in run_suite(reads_one, Suite(drift=limits))}

    assert results["drift.mean radius"].status == "pass"
    assert results["drift.mean texture"].status == "skip"
    assert "does not read this column" in results["drift.mean texture"].detail
    assert results["drift.age"].detail == "is missing in the reference rows"


def test_without_a_signature_a_column_that_the_holdout_lacks_is_an_error(examined):
    unsigned = replace(
        examined,
        candidate=replace(examined.candidate, inputs=None),
        features=examined.features[["mean radius"]],
    )
    limits = DriftLimits(min_rows=50, columns=("mean texture",))

    results = {result.name: result for result in run_suite(unsigned, Suite(drift=limits))}

    assert results["drift.mean texture"].status == "error"


def test_a_model_that_dies_in_one_check_spoils_no_other(examined):
    def die(_features):
        raise PermanentError("the model crashed")

    broken = Examined(
        model="m", task="binary", candidate=handle(die), labels=examined.labels,
        scores=examined.scores, features=examined.features,
    )  # fmt: skip

    results = {result.name: result for result in run_suite(broken, Suite())}

    assert results["determinism"].status == "error"
    assert "the model crashed" in results["determinism"].detail
    assert results["quality.roc_auc"].status == "pass"


@pytest.mark.parametrize(
    ("error", "detail", "brief"),
    [
        (
            ModelUnfitError("The model cannot be examined: it died.", reason="crash"),
            "The model cannot be examined: it died.",
            "the model could not be asked (crash)",
        ),
        (
            PermanentError("These rows cannot be sent."),
            "These rows cannot be sent.",
            "the model could not be asked",
        ),
        (
            KeyError("age"),
            "the check broke off: 'age' (KeyError)",
            "the check broke off (KeyError)",
        ),
    ],
)
def test_what_ended_a_check_is_told_in_a_sentence(examined, error, detail, brief):
    def refuse(_features):
        raise error

    broken = replace(examined, candidate=handle(refuse))

    results = {result.name: result for result in run_suite(broken, Suite())}

    assert (results["determinism"].detail, results["determinism"].brief) == (detail, brief)


def test_what_could_not_be_had_is_told_in_our_words_alone(examined):
    nameless = replace(examined, sensitive={})
    suite = Suite(fairness=FairnessLimits("gender", equalized_odds_difference_max=0.2))

    results = {result.name: result for result in run_suite(nameless, suite)}

    assert results["fairness"].detail == "the column gender of the holdout could not be had"
    assert results["fairness"].brief == ""


def test_a_sandbox_that_is_away_ends_the_examination_to_try_it_again(examined):
    def away(_features):
        raise TransientError("the runner is away")

    gone = Examined(model="m", task="binary", candidate=handle(away), features=examined.features)

    with pytest.raises(TransientError):
        run_suite(gone, Suite())


def test_the_worst_of_no_results_is_no_pass():
    assert worst([]) == "skip"
    assert worst([CheckResult("a", "pass"), CheckResult("b", "warn")]) == "warn"


def raising(_examined):
    raise RuntimeError("no luck")


def leaving(_examined):
    sys.exit("enough")


@pytest.mark.parametrize(
    ("check", "status", "says"),
    [
        (OwnCheck("mine", run=leaving), "error", "the check broke off: enough (SystemExit)"),
        (OwnCheck("mine", run=lambda _e: CheckResult("x", "pass")), "pass", ""),
        (OwnCheck("mine", run=raising), "error", "the check broke off: no luck (RuntimeError)"),
        (OwnCheck("mine", run=lambda _e: True), "error", "returned bool"),
        (OwnCheck("mine", run=lambda _e: CheckResult("x", "fine")), "error", "'fine'"),
        (OwnCheck("mine", run=lambda _e: CheckResult("x", "pass", float("nan"))), "error", "NaN"),
        (OwnCheck("mine", problem="cannot be imported"), "error", "cannot be imported"),
    ],
)
def test_an_own_check_ends_as_one_result_whatever_it_does(check, status, says):
    (result,) = run_own([check], bare())

    assert (result.name, result.status) == ("own.mine", status)
    assert says in result.detail


def test_what_an_own_check_raised_is_kept_apart_from_its_words():
    (result,) = run_own([OwnCheck("mine", run=raising)], bare())

    assert result.detail == "the check broke off: no luck (RuntimeError)"
    assert result.brief == "the check broke off (RuntimeError)"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"value": "high"}, "returned str where a number belongs"),
        ({"threshold": [0.5]}, "returned list where a number belongs"),
        ({"value": 10**400}, "NaN or infinite"),
        ({"numbers": {"x": "y"}}, "returned str where a number belongs"),
        ({"numbers": [1.0]}, "returned list as its numbers"),
        ({"n": "many"}, "returned str as its n"),
        ({"detail": None}, "returned NoneType as its detail"),
    ],
)
def test_an_own_check_that_answers_with_another_type_is_an_error(wrong, says):
    mine = OwnCheck("mine", run=lambda _e: replace(CheckResult("x", "pass"), **wrong))
    other = OwnCheck("other", run=lambda _e: CheckResult("x", "pass"))

    first, second = run_own([mine, other], bare())

    assert (first.name, first.status, second.status) == ("own.mine", "error", "pass")
    assert says in first.detail


def test_numpys_numbers_of_an_own_check_can_be_journalled():
    one = CheckResult(
        "x", "pass", np.float32(0.5), np.float64(1), np.int64(7), numbers={"k": np.int32(2)}
    )

    (result,) = run_own([OwnCheck("mine", run=lambda _e: one)], bare())

    kept = json.loads(json.dumps(result.as_dict()))
    assert (kept["value"], kept["threshold"], kept["n"], kept["numbers"]) == (0.5, 1, 7, {"k": 2})


def test_an_own_check_that_nobody_installed_is_an_error():
    (result,) = run_own(find_own(["no_such_check"]), bare())

    assert result.status == "error"
    assert "no_such_check" in result.detail


@pytest.fixture
def installed_example(tmp_path, monkeypatch):
    """The example as pip would install it: its entry points in a dist-info on the path."""
    declared = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / "steward_custom_check-0.1.0.dist-info"
    info.mkdir()
    lines = [
        f"{name} = {value}" for name, value in declared["entry-points"]["steward.checks"].items()
    ]
    text = "\n".join(["[steward.checks]", *lines, "broken = no_such_module:check"])
    (info / "entry_points.txt").write_text(text, encoding="utf-8")
    (info / "METADATA").write_text("Name: steward-custom-check\nVersion: 0.1.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)


def transactions(found):
    """A thousand rows with the amounts 0 to 999, fraud in every third, found at this share."""
    labels = (np.arange(1000) % 3 == 0).astype(int)
    is_found = np.random.default_rng(4).random(1000) < found
    features = pd.DataFrame({"amount": np.arange(1000.0)})
    candidate = Handle("2", lambda frame: np.zeros(len(frame)))
    return Examined(
        model="fraud", task="binary", candidate=candidate, features=features, labels=labels,
        scores=labels * is_found * 0.9,
    )  # fmt: skip


@pytest.mark.usefixtures("installed_example")
def test_the_example_is_found_by_its_entry_point_and_judges():
    checks = find_own(["high_amounts"])

    (good,) = run_own(checks, transactions(found=0.95))
    (poor,) = run_own(checks, transactions(found=0.3))
    (blind,) = run_own(checks, bare())

    assert (good.name, good.status, good.n) == ("own.high_amounts", "pass", 100)
    assert poor.status == "fail"
    assert blind.status == "error"


@pytest.mark.usefixtures("installed_example")
def test_an_own_check_that_cannot_be_imported_is_an_error():
    (result,) = run_own(find_own(["broken"]), bare())

    assert result.status == "error"
    assert "no_such_module" in result.detail


def test_reading_a_result_or_ruling_a_comparison_imports_no_numbers():
    code = (
        "import sys, handlers.checks, handlers.conclusion\n"
        "print(sorted({'numpy', 'pandas', 'scipy', 'sklearn', 'fairlearn'} & set(sys.modules)))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "[]"
