"""The page about an examination: what stands on it, and that it is safe, small and alone."""

import itertools
import json
import re
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from handlers.checks import CheckResult
from handlers.checks.drift import DriftLimits, check_drift
from handlers.checks.fairness import FairnessLimits
from handlers.checks.suite import Suite
from handlers.comparison import compare_auc
from handlers.conclusion import Comparison
from handlers.examined import BothScored, Examination, OnHoldout
from handlers.report.curves import Confusion, Curves, Group, Histogram
from handlers.report.page import Subject, render, verdict_of
from tests.html_page import Page, drawing
from tests.unit.report_support import (
    AT,
    PASSED,
    POLICY,
    USE,
    binary_rows,
    drawn,
    examined,
    page_of,
)

FAILED = CheckResult("drift.age", "fail", 0.31, 0.2, 2000, "PSI 0.310", 0.1)
WIDEST_DIGIT = 0.64 * 10.5
"""Of the widest font that the page names, in the points of the drawing."""
NUMBER = re.compile(r"[\N{MINUS SIGN}\d.]+")
HOSTILE = "<script>alert('x')</script>"


def compared(n: int = 10_000) -> OnHoldout:
    return OnHoldout("6", compare_auc(*binary_rows(n)), USE, POLICY.ref)


def test_the_page_says_what_was_examined_on_what_and_by_whom():
    page = page_of()

    for told in (
        *("fraud, version 7", "2026-03-01 12:00:00 UTC", POLICY.ref, "without network"),
        *("b" * 64, "q3.parquet, 2,000 rows", "a" * 64, "used for 7 decisions"),
        *("steward explain fraud 7", "Passed: no check failed."),
    ):
        assert told in page.words
    assert "Against Production" not in page.text


def test_every_check_has_a_line_with_its_numbers_and_its_status_in_words():
    page = page_of(PASSED, FAILED, CheckResult("schema", "skip", detail="no champion"))

    told = page.words
    assert "drift.age ✗ fail 0.31 0.2 2,000 PSI 0.310 0.100" in told
    assert "quality.roc_auc ✓ pass 0.9 0.8 2,000 0.9, higher is better 0.250" in told
    assert "schema · skip no champion 0.000" in told
    assert told.index("drift.age ✗") < told.index("quality.roc_auc ✓")  # the gravest first


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["pass", "skip"], ("pass", "Passed: no check failed.")),
        (["pass", "warn"], ("pass", "Passed: no check failed. To look at: 1 check, c1.")),
        (["fail", "fail"], ("fail", "Failed: 2 checks, c0, c1.")),
        (["fail", "error"], ("fail", "Failed: 1 check, c0. Could not be made: 1 check, c1.")),
        (
            ["pass", "error"],
            ("error", "Could not be checked: 1 check, c1. Missing data is never a pass."),
        ),
    ],
)
def test_the_verdict_is_one_sentence(statuses, expected):
    assert verdict_of([CheckResult(f"c{n}", one) for n, one in enumerate(statuses)]) == expected


def test_a_verdict_on_many_columns_names_the_first():
    verdict = verdict_of([CheckResult(f"c{n}", "fail") for n in range(200)])

    assert verdict[1] == "Failed: 200 checks, c0, c1, c2, c3, c4, c5, c6, c7 and 192 more."


def test_the_comparison_is_told_with_its_uncertainty_and_drawn():
    found = compared()

    page = page_of(compared=found)

    told = page.words
    of = found.comparison
    assert of.delta is not None
    assert of.se is not None
    assert f"Version 7 (candidate) {of.candidate:.6f}".rstrip("0") in told
    assert f"Version 6 (Production) {of.champion:.6f}".rstrip("0") in told
    assert f"Standard error {of.se:.6f}".rstrip("0") in told
    assert "Margin that the policy asks for 0.02" in told
    assert "Conclusion: better than Production: better by" in told
    (alt,) = page.pictures
    assert f"The difference is {of.delta:.4g}" in alt
    assert "margin" in page.pictures[alt]


@pytest.mark.parametrize(("low", "high"), [(-0.129, 0.027), (-0.145, -0.105)])
def test_the_numbers_under_the_difference_stand_apart(low: float, high: float):
    values = replace(compared().comparison, lower=low, interval_low=low, interval_high=high)
    found = replace(compared(), comparison=replace(values, delta=(low + high) / 2))

    (image,) = page_of(compared=found).all("img")

    ticks = [
        (float(one.attrib["x"]), len(one.text or ""))
        for one in drawing(image).iter()
        if "text-anchor: middle" in one.attrib.get("style", "") and NUMBER.fullmatch(one.text or "")
    ]
    assert len(ticks) > 2
    for (left, length), (right, other) in itertools.pairwise(ticks):
        assert right - left > WIDEST_DIGIT * (length + other) / 2


def test_a_relative_margin_is_told_of_productions_value():
    policy = POLICY.model_copy(deep=True)
    when = policy.promote.when
    assert when is not None
    relative = when.model_copy(update={"margin": None, "margin_relative": Decimal("0.1")})
    policy = policy.model_copy(
        update={"promote": policy.promote.model_copy(update={"when": relative})}
    )
    found = compared()
    half = replace(found, comparison=replace(found.comparison, champion=0.5))

    content = render(Subject("fraud", "7", policy, AT), Examination((PASSED,), half, USE))

    assert 'policy asks for</th><td class="n">0.05<' in content.decode()


def test_metrics_that_may_not_fall_stand_beside_each_other():
    others = {"loss": BothScored("log_loss", 0.4, 0.5)}

    page = page_of(compared=replace(compared(), others=others))

    assert "loss (log_loss) 0.4 0.5 0.01" in page.words


def test_a_metric_that_could_not_be_computed_is_told_with_the_reason():
    page = page_of(compared=replace(compared(), unscored={"loss": "the candidate: 1.2 is above 1"}))

    told = "loss, which may not get worse, could not be computed on these rows: the candidate: 1.2"
    assert told in page.words


def test_a_comparison_that_could_not_be_measured_says_why():
    problem = Comparison("roc_auc", "delong", 0.95, 20, 0, problem="0 positive rows: no comparison")

    page = page_of(compared=OnHoldout("6", problem, USE, POLICY.ref))

    assert "too uncertain to tell: 0 positive rows: no comparison." in page.words
    assert page.pictures == {}


def test_the_curves_of_two_classes_are_pictures_with_words():
    labels, good, worse = binary_rows()

    page = page_of(curves=drawn(examined("binary", labels, good, worse)))

    shown = list(page.pictures.items())
    assert [words.split(".")[0] for words, _ in shown] == [
        "ROC curves",
        "Precision-recall curves",
        "Predicted probability against the share that came true",
    ]
    roc, drawn_text = shown[0]
    assert "version 7 (candidate): area under the curve 0.9" in roc
    assert "version 7 (candidate), area" in drawn_text
    assert "version 6 (Production), area" in drawn_text
    assert page.text.count("Nearer to the top left corner is better.") == 1


def test_what_production_answered_alone_is_drawn_as_productions():
    labels, good, worse = binary_rows()
    good[0] = np.nan

    page = page_of(curves=drawn(examined("binary", labels, good, worse)))

    words = next(iter(page.pictures))
    assert "version 6 (Production)" in words
    assert "candidate" not in words


def test_a_regression_and_more_classes_have_pictures_of_their_own():
    generator = np.random.default_rng(0)
    labels = generator.normal(size=500)
    classes = np.repeat([0, 1, 2], 100)
    likely = np.full((300, 3), 0.2)
    likely[np.arange(300), classes] = 0.6

    regression = page_of(curves=drawn(examined("regression", labels, labels + 0.5)))
    multiclass = page_of(curves=drawn(examined("multiclass", classes, likely)))

    assert [words.split(".")[0] for words in regression.pictures] == [
        "Predicted against true values",
        "How errors are spread, from 0",
    ]
    assert "Share of each class that is recognised: 0 100%, 1 100%, 2 100%." in multiclass.pictures
    assert "of the likeliest class" in multiclass.text


def test_constant_scores_are_drawn():
    labels = binary_rows()[0]

    binary = page_of(curves=drawn(examined("binary", labels, np.full(2000, 0.5))))
    regression = page_of(curves=drawn(examined("regression", np.ones(2000), np.ones(2000))))

    assert len(binary.pictures) == 3
    assert len(regression.pictures) == 2


def test_drift_and_groups_are_drawn_with_their_numbers():
    generator = np.random.default_rng(0)
    reference = pd.DataFrame({"age": generator.normal(40, 9, 2000), "town": ["a", "b"] * 1000})
    current = pd.DataFrame({"age": generator.normal(50, 9, 2000), "town": ["a", "a"] * 1000})
    results = check_drift(reference, current, DriftLimits())
    labels, good, _ = binary_rows()
    of = examined(
        "binary",
        labels,
        good,
        features=current,
        reference=reference,
        sensitive={"gender": ["female", "male"] * 1000},
    )
    curves = drawn(of, *results, suite=Suite(fairness=FairnessLimits("gender")))

    page = page_of(*results, curves=replace(curves, roc=(), precision_recall=(), calibration=()))

    measures, town, age, groups = page.pictures.items()
    assert measures[0].startswith("PSI of each column: town ")
    assert "KS distance" in measures[1]
    assert "The greatest change is at" in town[0]
    assert "reference holdout" in age[1]
    assert "female: selected" in groups[0]
    assert "female 1,000" in page.words


def test_a_class_of_too_few_rows_is_told_as_such():
    confusion = Confusion("7", ("a", "b", "c"), ((0.9, 0.1, 0.0), None, (0.0, 0.0, 1.0)))

    (words,) = page_of(curves=Curves(confusion=(confusion,))).pictures

    assert "recognised: a 90%, b too few rows to tell, c 100%." in words


def test_hostile_names_are_text_everywhere():
    curves = Curves(
        confusion=(Confusion("7", (HOSTILE, "b"), ((1.0, 0.0), (0.0, 1.0))),),
        drift=(Histogram(HOSTILE, 0.3, (HOSTILE, "$x^{$"), (0.5, 0.5), (0.4, 0.6)),),
        attribute=HOSTILE,
        groups=(Group(HOSTILE, 100, 0.5, 0.5, 0.5), Group("日本\x00\x1b[31m", 100, 0.5, 0.5, 0.5)),
    )
    check = CheckResult(f"drift.{HOSTILE}", "fail", 0.3, 0.2, 100, f"{HOSTILE}\x00\ud800", 0.1)
    use = replace(USE, name=HOSTILE)

    page = page_of(check, curves=curves, model=HOSTILE, holdout=use)

    assert page.outside == []
    assert page.all("script") == []
    assert page.text.count(HOSTILE) > 4
    assert all(one.isprintable() or one == "\n" for one in page.text)
    assert len(page.pictures) == 4  # each is well-formed SVG
    for image in page.all("img"):
        tags = {element.tag.rpartition("}")[2] for element in drawing(image).iter()}
        assert "script" not in tags


def test_the_page_fetches_nothing_and_may_run_nothing():
    labels, good, worse = binary_rows()

    page = page_of(curves=drawn(examined("binary", labels, good, worse)), compared=compared())

    assert page.outside == []
    assert page.all("link") == []
    policy = [meta.attributes for meta in page.all("meta") if "http-equiv" in meta.attributes]
    assert policy[0]["content"] == ("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert all(image.attributes["alt"] for image in page.all("img"))
    assert all(
        value.startswith("#")
        for image in page.all("img")
        for element in drawing(image).iter()
        for name, value in element.attrib.items()
        if name.endswith("href")
    )


def test_the_same_examination_is_the_same_page():
    labels, good, worse = binary_rows()
    curves = drawn(examined("binary", labels, good, worse))
    found = Examination((PASSED,), compared(), USE, "b" * 64, "L2", curves=curves)
    subject = Subject("fraud", "7", POLICY, AT)

    assert render(subject, found) == render(subject, found)


def test_a_million_rows_and_many_columns_are_a_small_file():
    labels, good, worse = binary_rows(1_000_000)
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({f"column number {n}": generator.normal(size=1000) for n in range(200)})
    results = check_drift(frame, frame + 0.1, DriftLimits())
    of = examined("binary", labels, good, worse, features=frame + 0.1, reference=frame)
    found = Examination(results, compared(), USE, "b" * 64, "L2", curves=drawn(of, *results))

    content = render(Subject("fraud", "7", POLICY, AT), found)

    assert len(Page.read(content).pictures) == 9
    assert len(content) < 500_000


def test_an_examination_that_was_stopped_has_its_one_line_and_no_picture():
    found = Examination((CheckResult("loading", "fail", detail="it hung for 120 s"),))

    page = Page.read(render(Subject("fraud", "7", POLICY, AT), found))

    assert "loading ✗ fail it hung for 120 s" in page.words
    assert "Sandbox no model was loaded" in page.words
    assert "the examination ended before" in page.text
    assert page.pictures == {}


def test_an_examination_that_was_stopped_says_what_was_known_by_then():
    stop = CheckResult("scoring", "error", detail="the holdout has no column age")
    found = Examination((stop,), model_sha256="b" * 64, level="L2")

    page = Page.read(render(Subject("fraud", "7", POLICY, AT), found))

    assert "Sandbox level L2: a process of its own" in page.words
    assert f"Model files sha256 {'b' * 64}" in page.words


def test_the_words_of_a_model_are_not_on_the_page():
    quoting = CheckResult(
        "determinism",
        "error",
        detail="ValueError: could not convert string to float: 'Alice'",
        brief="ValueError",
    )

    page = page_of(quoting)

    assert "Alice" not in page.text
    assert "determinism ? error ValueError; report.json has its words" in page.words
    assert "Alice" in str(quoting.as_dict())


def test_the_command_to_go_on_with_is_whole_however_long_the_name():
    name = "risk of " + "very " * 100 + "old customers"

    page = page_of(model=name)

    assert f"steward explain '{name}' 7" in page.words


def test_what_is_drawn_is_in_no_event():
    labels, good, worse = binary_rows()
    curves = drawn(examined("binary", labels, good, worse))
    bare = Examination((PASSED,), compared(), USE, "b" * 64, "L2")

    drawn_too = replace(bare, curves=curves)

    assert drawn_too.as_data() == bare.as_data()
    assert len(json.dumps(drawn_too.as_data())) < 2000
