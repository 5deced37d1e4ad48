"""Explain by subject and as of a time, lineage, comparison and searches, over real HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from steward.events import EventType, NewEvent
from steward.journal import audit, dispatches
from steward.ports import Wait
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, receiver
from tests.integration.test_receiver_api import FRAUD, claim, finish, get

VERSIONS = "/api/v1/models/fraud/versions"
EXPLAIN = "/api/v1/models/fraud/explain"
COMPARE = "/api/v1/models/fraud/compare"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver whose client is the operator Ada."""
    with receiver(tmp_path) as running:
        secret, _ = audit.create_token(running.journal, owner="ada", role="operator")
        running.client.headers["authorization"] = f"Bearer {secret}"
        yield running


def evidence(auc: str, **lineage: Any) -> dict[str, Any]:
    """What ``validate`` keeps of a version with one metric that counts and one that does not."""
    row = {"name": "test_auc", "value": auc, "dataset": "holdout", "origin": "run"}
    return {
        "gates": [{"name": "metric auc", "status": "pass", "detail": f"test_auc {auc} is known"}],
        "metrics": {"auc": row},
        "found": [{**row, "used_as": "auc"}, {"name": "f1", "value": "0.6", "origin": "run"}],
        "lineage": {"run_id": f"run-{auc}", "user": "ada", **lineage},
    }


def validate(here: Receiver, version: str, auc: str, tags: Any = None, **lineage: Any) -> None:
    here.deliver(created(version, tags=tags or {}))
    data = evidence(auc, **lineage)
    finish(here, "validate", NewEvent(EventType.VALIDATED, data=data))


def promote(here: Receiver, version: str, auc: str, before: str | None = None) -> None:
    """Register a version, walk it into Production, onto a replica and into a channel."""
    validate(here, version, auc)
    side = {"value": auc, "name": "test_auc", "dataset": "holdout", "digest": "d1"}
    champion = {"version": before, **side, "value": "0.8"} if before else None
    told = {
        "verdict": "promoted",
        "reasons": ["it is better"],
        "code": "beats_production",
        "metric": "auc",
        "candidate": {"version": version, **side},
        "champion": champion,
        "gain": "0.1",
        "margin": "0.02",
    }
    finish(here, "promote", NewEvent(EventType.PROMOTED, data=told), champion=version)
    replicas = [{"id": "r1", "ok": True, "seconds": 0.5}, {"id": "r2", "ok": False, "error": "no"}]
    data = {"version": version, "replicas": replicas, "generation": 1, "seconds": 1.5}
    finish(here, "reload", NewEvent(EventType.ROLLOUT_FINISHED, FRAUD, version, data=data))


def hold(here: Receiver, version: str, auc: str, **tags: str) -> None:
    validate(here, version, auc, tags)
    told = {"reasons": ["not better"], "code": "below_margin", "verdict": "held"}
    finish(here, "promote", NewEvent(EventType.HELD, data=told))


def found(here: Receiver, **query: Any) -> list[str]:
    return [item["version"] for item in get(here, VERSIONS, **query)["items"]]


# --- explain ----------------------------------------------------------------------------------


def test_explain_tells_each_subject_with_its_numbers(here: Receiver):
    promote(here, "1", "0.8")
    promote(here, "2", "0.9", before="1")

    told = get(here, EXPLAIN, version="2")["sections"]

    assert (told["registered"]["seen_by"], told["registered"]["user"]) == ("webhook", "ada")
    assert [(one["name"], one["status"]) for one in told["checks"]] == [("metric auc", "pass")]
    assert told["compared"]["candidate"]["dataset"] == "holdout"
    assert (told["compared"]["champion"]["version"], told["compared"]["gain"]) == ("1", "0.1")
    assert told["compared"]["is_same_data"] is True
    assert (told["decided"]["verdict"], told["decided"]["reasons"]) == (
        "promoted",
        ["it is better"],
    )
    assert (told["promoted"]["instead_of"], told["promoted"]["by"]) == ("1", "steward")
    assert [
        (one["id"], one["is_serving"], one["error"]) for one in told["rollout"]["replicas"]
    ] == [
        ("r1", True, None),
        ("r2", False, "no"),
    ]
    assert [one["name"] for one in told["not_used"]] == ["f1"]
    assert told["undo"] == ["steward rollback fraud", "steward rollback fraud 1"]


def test_explain_tells_what_a_version_waited_for(here: Receiver):
    here.deliver(created("1"))
    until = datetime.now(UTC) + timedelta(hours=1)
    wait = Wait(until, "waiting for test_auc until 14:32 UTC")
    dispatches.record(here.journal, claim(here, "validate"), wait)

    (waited,) = get(here, EXPLAIN, version="1")["sections"]["waited"]

    assert (waited["for"], waited["is_over"]) == ("test_auc until 14:32 UTC", False)


def test_explain_leaves_empty_what_there_is_nothing_to_tell_of(here: Receiver):
    here.deliver(created("1"))

    told = get(here, EXPLAIN, version="1")["sections"]

    assert told.pop("registered")
    assert not any(told.values())


def test_explain_reads_an_approval_by_whom_and_why(here: Receiver):
    here.deliver(created("1"))
    data = {"actor": "grace", "comment": "checked by hand"}
    finish(here, "validate", NewEvent("approval.approved", data=data))

    (approved,) = get(here, EXPLAIN, version="1")["sections"]["approved"]

    assert (approved["what"], approved["actor"], approved["comment"]) == (
        "approved",
        "grace",
        "checked by hand",
    )


def test_explain_at_a_time_ends_then_and_says_what_was_production(here: Receiver):
    promote(here, "1", "0.8")
    changes = get(here, "/api/v1/events", type="registered_model.champion_changed")["items"]
    between = changes[0]["recordedat"]
    promote(here, "2", "0.9", before="1")

    then = get(here, EXPLAIN, at=between)
    now = get(here, EXPLAIN)

    assert (then["version"], now["version"]) == ("1", "2")
    assert then["then"]["production"] == "1"
    assert then["then"]["production_is_known"] is True
    assert then["then"]["verdict"]["verdict"] == "promoted"
    assert then["then"]["production_event_id"] == changes[0]["id"]
    assert then["sections"]["promoted"]["until"] is None
    assert then["sections"]["rollout"] is None
    assert not any("Version 2" in step["sentence"] for step in then["steps"][:4])
    assert now["then"] is None


def test_before_the_journal_knew_the_model_production_is_unknown_not_empty(here: Receiver):
    promote(here, "1", "0.8")

    then = get(here, EXPLAIN, version="1", at="2026-01-01")["then"]

    assert (then["production"], then["production_is_known"]) == (None, False)
    assert then["production_told"] == "unknown"
    assert (then["verdict"], then["stage"]) == (None, None)


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("yesterday", "query.at: 'yesterday' is no time; write how long ago (90s, 15m, 2h, 1d)"),
        ("2999-01-01", "query.at: 2999-01-01T00:00:00Z has not come yet"),
    ],
)
def test_a_wrong_time_is_told_what_a_time_is(here: Receiver, at: str, told: str):
    here.deliver(created())

    answer = here.client.get(EXPLAIN, params={"at": at})

    assert answer.status_code == 422
    assert told in answer.json()["detail"]


# --- lineage and comparison ---------------------------------------------------------------------


def test_lineage_is_what_the_judgement_recorded(here: Receiver):
    cards = {"name": "cards", "digest": "d1", "context": "training"}
    hold(here, "1", "0.8", team="risk")
    validate(
        here, "2", "0.9", {"team": "risk"}, params={"C": "1"}, inputs=[cards], git_commit="abc"
    )

    told = get(here, f"{VERSIONS}/2/lineage")

    assert (told["params"], told["code"]) == ({"C": "1"}, {"git_commit": "abc", "user": "ada"})
    assert told["data"]["inputs"] == [cards]
    assert told["tags"] == {"team": "risk"}
    assert told["metrics"]["auc"]["value"] == "0.9"
    assert (told["run"], told["note"]) == ({"run_id": "run-0.9"}, None)


def test_lineage_survives_the_verdict_that_followed_the_judgement(here: Receiver):
    hold(here, "1", "0.8")

    assert get(here, f"{VERSIONS}/1/lineage")["run"] == {"run_id": "run-0.8"}


def test_a_version_that_was_not_judged_has_a_note_and_an_unknown_one_is_404(here: Receiver):
    here.deliver(created("1"))

    assert "No judgement has recorded" in get(here, f"{VERSIONS}/1/lineage")["note"]
    assert here.client.get(f"{VERSIONS}/9/lineage").status_code == 404
    assert here.client.get(COMPARE, params={"versions": "1,9"}).status_code == 404


def test_two_versions_stand_side_by_side_with_what_differs_marked(here: Receiver):
    validate(here, "1", "0.8", {"team": "risk"}, params={"C": "1", "seed": "7"})
    validate(here, "2", "0.9", {"team": "risk"}, params={"C": "2", "seed": "7"})

    told = get(here, COMPARE, versions="1,2")

    assert [each["version"] for each in told["versions"]] == ["1", "2"]
    assert told["groups"]["params"] == [
        {"key": "C", "values": ["1", "2"], "differs": True},
        {"key": "seed", "values": ["7", "7"], "differs": False},
    ]
    assert told["groups"]["metrics"][0] == {
        "key": "auc",
        "values": ["0.8", "0.9"],
        "differs": True,
    }


@pytest.mark.parametrize("versions", ["1", "1,1", ",", "1,2,3,4,5,6"])
def test_a_comparison_is_of_two_to_five_different_versions(here: Receiver, versions: str):
    here.deliver(created("1"))

    answer = here.client.get(COMPARE, params={"versions": versions})

    assert answer.status_code == 422
    assert "expected two to five different versions, like 6,7" in answer.json()["detail"]


# --- searches -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["4", "3", "2", "1"]),
        ({"metric": "auc>=0.9"}, ["3", "2"]),
        ({"metric": ["auc>=0.9", "auc<0.95"]}, ["2"]),
        ({"metric": "f1=0.6"}, ["3", "2", "1"]),
        ({"tag": "team=risk"}, ["3", "2"]),
        ({"tag": ["team=risk", "owner"]}, ["3"]),
        ({"tag": "team!=risk"}, ["4", "1"]),
        ({"verdict": "held"}, ["3", "2", "1"]),
        ({"verdict": "waiting"}, ["4"]),
        ({"metric": "auc>=0.9", "tag": "owner=ada", "verdict": "held"}, ["3"]),
        ({"metric": "auc>1"}, []),
    ],
)
def test_versions_are_found_by_metric_tag_and_verdict(
    here: Receiver, query: dict[str, Any], expected: list[str]
):
    hold(here, "1", "0.8")
    hold(here, "2", "0.9", team="risk")
    hold(here, "3", "0.95", team="risk", owner="ada")
    here.deliver(created("4"))

    assert found(here, **query) == expected


def test_found_versions_are_paged(here: Receiver):
    for number in range(1, 6):
        here.deliver(created(str(number)))

    first = get(here, VERSIONS, limit=2)
    second = get(here, VERSIONS, limit=2, cursor=first["next_cursor"])
    third = get(here, VERSIONS, limit=2, cursor=second["next_cursor"])

    pages = [[item["version"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [["5", "4"], ["3", "2"], ["1"]]
    assert third["next_cursor"] is None


def test_a_page_goes_on_after_a_version_that_is_gone(here: Receiver):
    for number in ("1", "2", "4"):
        here.deliver(created(number))

    assert found(here, cursor="3") == ["2", "1"]
    assert found(here, cursor="1") == []
    assert here.client.get(VERSIONS, params={"cursor": "x"}).status_code == 422


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"metric": "auc"}, "query.metric: 'auc' is no condition on a metric; expected NAME"),
        ({"metric": "auc>high"}, "query.metric: 'high' in 'auc>high' is no number"),
        ({"tag": "=x"}, "query.tag: '=x' is no condition on a tag; expected KEY=VALUE"),
        ({"verdict": "good"}, "verdict must be 'waiting', 'held', 'rejected'"),
        ({"metrics": "auc>1"}, "There is no query parameter metrics"),
    ],
)
def test_a_condition_that_cannot_be_read_is_told_what_was_expected(
    here: Receiver, query: dict[str, str], told: str
):
    here.deliver(created())

    answer = here.client.get(VERSIONS, params=query)

    assert answer.status_code == 422
    assert told in answer.json()["detail"]
