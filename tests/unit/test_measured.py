"""What Steward measured itself is told where a person decides, beside what was logged."""

from dataclasses import replace
from typing import Any

import pytest

from handlers import measured
from handlers.examined import HoldoutUse, OnHoldout
from handlers.messages import compose
from handlers.promote import promote
from handlers.wording import Links
from steward.events import Event, EventType
from steward.ports import Done
from tests.unit.test_deciding_by_holdout import BETTER
from tests.unit.world import World, make_policy
from webhook_receiver.api.origins import origin_of, side_by_side
from webhook_receiver.api.sections import sections_of

USE = HoldoutUse("q3.parquet", "a" * 64, 2000, 7)
SURE = replace(BETTER, interval_low=0.024, interval_high=0.056)
COMPARED = OnHoldout("3", SURE, USE, "fraud@0").as_dict()
QUALITY = {"name": "quality.roc_auc", "status": "pass", "value": 0.8123456, "n": 2000}
LOGGED = {"version": "7", "name": "test_auc", "value": "0.99", "origin": "run", "dataset": "mine"}
EXAMINED = {
    "metrics": {"auc": LOGGED},
    "checks": [QUALITY],
    "holdout": {"name": "q3.parquet", "sha256": "a" * 64, "n": 2000, "uses": 7},
    "report": "runs:/r/validation/report.html",
}
INTERVAL = "better by 0.04, 95% interval 0.024 to 0.056 (paired DeLong, standard error 0.008"


def happened(kind: EventType, **data: Any) -> Event:
    return World().event(kind, "7", data=data)


def facts(event: Event) -> dict[str, str]:
    message = compose(event, (event,), Links())
    assert message is not None
    return dict(message.facts)


@pytest.mark.parametrize(
    "kind", [EventType.HELD, EventType.REJECTED, EventType.APPROVAL_REQUESTED, EventType.PROMOTED]
)
def test_a_logged_number_is_told_with_what_was_measured_and_where_the_report_is(
    kind: EventType,
) -> None:
    told = facts(happened(kind, metric="auc", candidate=LOGGED, champion=None, **EXAMINED))

    assert told["Version 7"] == "auc 0.99 (logged as test_auc)"
    assert told["Measured by Steward"] == "roc_auc 0.812346, on q3.parquet (2000 rows)"
    assert told["Report"] == "runs:/r/validation/report.html"


def test_a_comparison_is_told_with_both_scores_and_its_interval() -> None:
    data = {**EXAMINED, "checks": [], "comparison": COMPARED}

    told = facts(happened(EventType.REJECTED, metric="auc", candidate=LOGGED, **data))

    assert told["Measured by Steward"] == (
        "roc_auc 0.9 against version 3's 0.86, on q3.parquet (2000 rows)"
    )
    assert told["On the holdout"].startswith(INTERVAL)


def test_a_value_that_is_our_own_is_not_told_twice() -> None:
    own = {**LOGGED, "name": "roc_auc", "origin": "holdout"}

    told = facts(happened(EventType.HELD, metric="auc", candidate=own, **EXAMINED))

    assert "Measured by Steward" not in told


@pytest.mark.parametrize("data", [{}, {"comparison": None, "holdout": None, "checks": None}])
def test_where_nothing_was_measured_nothing_is_told(data: dict[str, Any]) -> None:
    assert measured.facts({"metric": "auc", "candidate": LOGGED, **data}) == ()
    assert measured.measured_metrics({"metrics": {"auc": LOGGED}, **data}) == {}
    assert measured.sides("7", data) is None


def test_the_question_about_a_first_version_holds_what_the_validation_measured() -> None:
    w = World(policy=make_policy(promote={"first_version": "approval"}))
    version = w.register(0.99).version
    validated = w.event(EventType.VALIDATED, version, data=EXAMINED)

    outcome = w.run(promote, validated)

    assert isinstance(outcome, Done)
    (question,) = outcome.events
    assert question.type == EventType.APPROVAL_REQUESTED
    assert question.data["report"] == "runs:/r/validation/report.html"
    assert question.data["measured"]["auc"]["value"] == 0.8123456
    told = facts(happened(question.type, **question.data))
    assert told["Measured by Steward"].startswith("roc_auc 0.812346")


def compared(*events: Event) -> dict[str, Any] | None:
    found: dict[str, Any] | None = sections_of("7", list(events), [])["compared"]
    return found


def test_explain_compares_what_awaits_approval() -> None:
    own = {"version": "7", "value": "0.9", "origin": "holdout"}
    question = happened(
        EventType.APPROVAL_REQUESTED,
        evidence="e",
        candidate=own,
        champion={**own, "version": "3", "value": "0.86"},
        comparison=COMPARED,
    )

    found = compared(happened(EventType.VALIDATED, comparison=COMPARED), question)

    assert found is not None
    assert found["champion"]["value"] == "0.86"
    assert found["comparison"]["interval_low"] == 0.024


@pytest.mark.parametrize("kind", [EventType.VALIDATED, EventType.REJECTED])
def test_explain_compares_by_the_judgement_where_nothing_was_decided_by_numbers(
    kind: EventType,
) -> None:
    found = compared(happened(kind, candidate=LOGGED, champion=None, comparison=COMPARED))

    assert found is not None
    assert (found["candidate"]["value"], found["champion"]["value"]) == (0.9, 0.86)
    assert found["champion"]["version"] == "3"
    assert found["is_same_data"] is True


def test_versions_side_by_side_show_the_measured_value_beside_the_logged_one() -> None:
    judged = happened(EventType.VALIDATED, **EXAMINED)

    rows = side_by_side([origin_of(judged, {}), origin_of(None, {})])["metrics"]

    assert {row["key"]: row["values"][0] for row in rows} == {
        "auc": "0.99",
        "auc measured on": "mine",
        "auc measured by Steward": "0.812346",
    }
