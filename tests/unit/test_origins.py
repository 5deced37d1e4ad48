"""Versions side by side: what each recorded lines up, and what differs is marked."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from steward.events import Event, EventType, ModelRef
from webhook_receiver.api.origins import GROUPS, origin_of, side_by_side

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def judged(**data: Any) -> Event:
    return Event(
        "e1", EventType.VALIDATED, "steward", ModelRef("fraud"), "7", None, None, data, NOW, NOW
    )


def rows(group: str, *origins: Any) -> dict[str, tuple[list[Any], bool]]:
    found = side_by_side(origins)[group]
    return {row["key"]: (row["values"], row["differs"]) for row in found}


def test_what_one_version_lacks_stands_beside_what_the_other_has():
    one = origin_of(judged(lineage={"params": {"C": "1", "seed": "7"}, "git_commit": "abc"}), {})
    two = origin_of(judged(lineage={"params": {"C": "2", "seed": "7"}}), {})

    assert rows("params", one, two) == {"C": (["1", "2"], True), "seed": (["7", "7"], False)}
    assert rows("code", one, two) == {"git_commit": (["abc", None], True)}


def test_metrics_line_up_by_the_policys_name_and_say_on_which_data():
    one = origin_of(
        judged(
            lineage={"run_id": "r1"},
            metrics={"auc": {"name": "test_auc", "value": "0.9", "dataset": "q3"}},
            found=[
                {"name": "test_auc", "value": "0.9", "used_as": "auc", "dataset": "q3"},
                {"name": "f1", "value": "0.6", "used_as": None},
            ],
        ),
        {},
    )
    two = origin_of(
        judged(lineage={"run_id": "r2"}, metrics={"auc": {"name": "roc_auc", "value": "0.8"}}), {}
    )

    assert rows("metrics", one, two) == {
        "auc": (["0.9", "0.8"], True),
        "auc measured on": (["q3", None], True),
        "f1": (["0.6", None], True),
    }


def test_datasets_line_up_by_name_and_context():
    one = {"name": "cards", "digest": "d1", "context": "training"}
    first = origin_of(judged(lineage={"inputs": [one], "data": {"data_version": "1"}}), {})
    second = origin_of(judged(lineage={"inputs": [{**one, "digest": "d2"}]}), {})

    assert rows("data", first, second) == {
        "cards (training)": (["d1", "d2"], True),
        "tag data_version": (["1", None], True),
    }


def test_stewards_own_tags_are_no_difference():
    answered = {"approved_by": "ada", "approved_at": "2026-03-01", "approval_comment": "good"}
    one = origin_of(None, {"team": "risk", "steward.verdict": "held", **answered})
    two = origin_of(None, {"team": "risk"})

    assert rows("tags", one, two) == {"team": (["risk", "risk"], False)}


def test_a_version_that_was_never_judged_says_so():
    origin = origin_of(None, {})

    assert "No judgement has recorded" in origin["note"]
    assert side_by_side([origin, origin]) == {group: [] for group in GROUPS}


def test_datasets_of_older_events_are_read():
    origin = origin_of(judged(lineage={"datasets": "cards@d1, holdout@d2"}), {})

    assert origin["data"]["inputs"] == [
        {"name": "cards", "digest": "d1"},
        {"name": "holdout", "digest": "d2"},
    ]


def test_an_environment_that_is_not_recorded_says_why():
    lineage = {"run_id": "r1"}

    without = origin_of(judged(lineage=lineage), {})["environment_note"]
    stopped = origin_of(judged(lineage=lineage, checks=[{"name": "loading"}]), {})
    by_gates = origin_of(replace(judged(lineage=lineage), type=EventType.REJECTED), {})
    recorded = origin_of(judged(lineage=lineage | {"environment": {"python": "3.11"}}), {})

    assert "the policy runs no checks" in without
    assert "before the model's files told it" in stopped["environment_note"]
    assert "before a check opened" in by_gates["environment_note"]
    assert recorded["environment_note"] is None
    assert origin_of(None, {})["environment_note"] is None
