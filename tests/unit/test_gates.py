"""Each gate of ``require``: what passes, what fails, what may still come."""

from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.gates import Gate, judge, measure
from steward.ports import Evidence, MetricValue, Signature, VersionInfo
from tests.unit.world import AUC, MODEL, make_policy

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NO_RULE = {"first_version": "promote"}


def gates(
    require: dict[str, Any],
    *,
    values: dict[str, float | None] | None = None,
    evidence: Evidence | None = None,
    promote: dict[str, Any] | None = None,
    checks: dict[str, Any] | None = None,
    **version: Any,
) -> tuple[Gate, ...]:
    info = VersionInfo(MODEL, "4", NOW, NOW, **version)
    logged = tuple(
        MetricValue(name, value, "run", "run-4") for name, value in (values or {}).items()
    )
    held = evidence or Evidence(logged)
    metrics = {"auc": AUC, "f1": {"names": ["f1"], "better": "higher"}}
    sections = {"require": require, "promote": promote or NO_RULE, "checks": checks}
    policy = make_policy(metrics=metrics, **sections)
    return judge(policy, info, held, measure(policy, held, info))


def gate(*args: Any, **more: Any) -> Gate:
    (only,) = gates(*args, **more)
    return only


@pytest.mark.parametrize(
    ("value", "bounds", "status", "detail", "code"),
    [
        (0.85, {"min": "0.85"}, "pass", "test_auc 0.85 is at least 0.85", ""),
        (0.8499999999, {"min": "0.85"}, "pass", "test_auc 0.85 is at least 0.85", ""),
        (
            0.849999,
            {"min": "0.85"},
            "fail",
            "test_auc 0.849999 is below the minimum of 0.85",
            "below_minimum",
        ),
        (0.1 + 0.2, {"max": "0.3"}, "pass", "test_auc 0.3 is at most 0.3", ""),
        (0.31, {"max": "0.3"}, "fail", "test_auc 0.31 is above the maximum of 0.3",
         "above_maximum"),
        (0.9, {"min": "0.85", "max": "1"}, "pass", "test_auc 0.9 is at least 0.85 and at most 1",
         ""),
        (None, {"min": "0"}, "fail", "test_auc is not a number", "metric_invalid"),
    ],
)  # fmt: skip
def test_bounds_are_inclusive_and_decimal(
    value: float | None, bounds: dict[str, str], status: str, detail: str, code: str
):
    result = gate({"metrics": {"auc": bounds}}, values={"test_auc": value})

    assert (result.status, result.detail, result.code) == (status, detail, code)


def test_a_metric_that_is_not_there_is_missing():
    result = gate({"metrics": {"auc": {"min": "0.85"}}}, values={"auc_test": 0.92})

    assert result.status == "missing"
    assert result.detail == "no test_auc or roc_auc; the run has auc_test=0.92"
    assert result.waits_for == "test_auc or roc_auc"


def test_a_metric_with_two_values_is_unclear():
    both = Evidence(
        (
            MetricValue("test_auc", 0.9, "run", "run-4"),
            MetricValue("test_auc", 0.8, "logged_model", "m-4"),
        )
    )

    assert gate({"metrics": {"auc": {"min": "0.85"}}}, evidence=both).status == "unclear"


def test_metrics_that_the_promotion_compares_by_are_needed_too():
    promote = {"when": {"metric": "auc", "margin": "0.02"}, "not_worse": {"f1": "0.01"}}

    results = gates({}, values={"test_auc": 0.5}, promote=promote)

    assert [(result.name, result.status) for result in results] == [
        ("metric auc", "pass"),
        ("metric f1", "missing"),
    ]


def test_what_the_holdout_gives_need_not_be_logged():
    checks = {"holdout": {"uri": "a.csv", "label": "y", "metric": "auc"}}
    promote = {"when": {"metric": "auc", "margin": "0.02"}, "not_worse": {"f1": "0.01"}}

    assert gates({}, promote=promote, checks=checks) == ()


@pytest.mark.parametrize(
    ("tags", "status"), [({}, "missing"), ({"data": " "}, "missing"), ({"data": "v1"}, "pass")]
)
def test_a_required_tag_needs_any_value(tags: dict[str, str], status: str):
    assert gate({"required_tags": ["data"]}, tags=tags).status == status


@pytest.mark.parametrize(
    ("expected", "actual", "status"),
    [
        (True, "True", "pass"),
        (True, "true", "pass"),
        (True, "yes", "fail"),
        (False, "false", "pass"),
        ("gold", "gold", "pass"),
        ("gold", "Gold", "fail"),
        (["gold", "silver"], "silver", "pass"),
        (["gold", "silver"], "bronze", "fail"),
        (True, None, "missing"),
    ],
)
def test_a_tag_needs_its_value(expected: Any, actual: str | None, status: str):
    tags = {} if actual is None else {"validated": actual}

    assert gate({"tags": {"validated": expected}}, tags=tags).status == status


def test_a_wrong_tag_says_what_is_required():
    result = gate({"tags": {"tier": ["gold", True]}}, tags={"tier": "iron"})

    assert result.detail == "tag tier is iron; gold or true is required"


@pytest.mark.parametrize(
    ("pattern", "actual", "status"),
    [
        ("^RISK-[0-9]+$", "RISK-12", "pass"),
        ("^RISK-[0-9]+$", "see RISK-12", "fail"),
        ("RISK-[0-9]+", "see RISK-12", "pass"),
        ("^RISK", None, "missing"),
    ],
)
def test_a_pattern_is_anchored_only_as_it_was_written(
    pattern: str, actual: str | None, status: str
):
    tags = {} if actual is None else {"ticket": actual}

    assert gate({"tag_patterns": {"ticket": pattern}}, tags=tags).status == status


@pytest.mark.parametrize(("text", "status"), [("", "missing"), ("  ", "missing"), ("x", "pass")])
def test_a_description_is_more_than_blanks(text: str, status: str):
    assert gate({"description": True}, description=text).status == status


@pytest.mark.parametrize(
    ("signature", "status"),
    [(Signature(), "pass"), (Signature(is_there=False), "fail"), (None, "missing")],
)
def test_a_signature_is_there_or_not_or_unknown(signature: Signature | None, status: str):
    evidence = Evidence(signature=signature)

    assert gate({"signature": True}, evidence=evidence).status == status


def test_each_lineage_key_is_a_gate():
    evidence = Evidence(lineage={"git_commit": "abc", "user": ""})

    results = gates({"lineage": ["git_commit", "user", "git_repo"]}, evidence=evidence)

    assert [result.status for result in results] == ["pass", "missing", "missing"]
    assert results[2].detail == "no git_repo"


def test_a_policy_without_gates_has_none():
    assert gates({}) == ()


@pytest.mark.parametrize("key", ["data_version", "dvc.rev", "dvc_md5"])
def test_a_data_version_is_claimed_by_our_tag_or_by_those_of_dvc(key: str):
    asked = {"lineage": ["data_version"]}

    assert [one.status for one in gates(asked, tags={key: "2026-02"})] == ["pass"]
    assert [one.status for one in gates(asked, tags={key: " "})] == ["missing"]
