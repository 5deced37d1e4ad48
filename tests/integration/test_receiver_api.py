"""The operators' API over real HTTP: events, replay, models, causes, commands."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from steward.events import EventType, ModelRef, NewEvent
from steward.journal import audit, claims, dispatches, notices
from steward.journal.claims import Claimed
from steward.journal.looking import look
from steward.ports import Done
from tests.deliveries import created, payload
from tests.integration.receiver_support import Receiver, receiver

FRAUD = ModelRef("fraud")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver whose client is the operator Ada."""
    with receiver(tmp_path) as running:
        secret, _ = audit.create_token(running.journal, owner="ada", role="operator")
        running.client.headers["authorization"] = f"Bearer {secret}"
        yield running


def claim(here: Receiver, handler: str) -> Claimed:
    hint = next(hint for hint in reversed(here.hints) if hint.handler == handler)
    claimed = claims.claim(here.journal, hint.dispatch_id, "worker", lease_seconds=60)
    assert claimed is not None
    return claimed


def finish(here: Receiver, handler: str, *events: NewEvent, **facets: Any) -> None:
    """Do as a worker would: handle the newest dispatch of a handler."""
    claimed = claim(here, handler)
    found = look(here.journal, FRAUD)
    readings = tuple(found.reading("", facet, value) for facet, value in facets.items())
    here.hints.extend(dispatches.record(here.journal, claimed, Done(events, readings)))


def promote(here: Receiver, version: str) -> None:
    """Register a version and walk it into Production."""
    here.deliver(created(version))
    finish(here, "validate", NewEvent(EventType.VALIDATED, data={"reasons": ["gates hold"]}))
    promoted = NewEvent(
        EventType.PROMOTED, data={"reasons": ["it is better"], "code": "beats_production"}
    )
    finish(here, "promote", promoted, champion=version)


def get(here: Receiver, path: str, **query: Any) -> Any:
    answer = here.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def types(found: Any) -> list[str]:
    return [item["type"] for item in found["items"]]


def test_events_are_listed_newest_first_and_paged(here: Receiver):
    for version in range(1, 6):
        here.deliver(created(str(version)))

    first = get(here, "/api/v1/events", limit=2)
    second = get(here, "/api/v1/events", limit=2, cursor=first["next_cursor"])
    third = get(here, "/api/v1/events", limit=2, cursor=second["next_cursor"])

    pages = [[item["version"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [["5", "4"], ["3", "2"], ["1"]]
    assert third["next_cursor"] is None
    item = first["items"][0]
    assert (item["specversion"], item["status"], item["seen_by"]) == ("1.0", "open", "webhook")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"type": "model_version.created"}, {"fraud", "churn"}),
        ({"type": "*.created"}, {"fraud", "churn", "prompt"}),
        ({"model": "fraud"}, {"fraud", "died"}),
        ({"model": "ch*"}, {"churn"}),
        ({"version": "2"}, {"churn"}),
        ({"status": "open"}, {"churn", "died"}),
        ({"status": "dead"}, {"fraud"}),
        ({"status": "waiting"}, set()),
        ({"status": "done"}, {"prompt"}),
        ({"source": "mlflow/*"}, {"fraud", "churn", "prompt"}),
        ({"seen_by": "webhook"}, {"fraud", "churn", "prompt"}),
        ({"seen_by": "self"}, {"died"}),
        ({"seen_by": "poll"}, set()),
        ({"since": "2020-01-01"}, {"fraud", "churn", "prompt", "died"}),
        ({"until": "2020-01-01T00:00:00Z"}, set()),
        ({"q": "CHURN"}, {"churn"}),
        ({"model": "fraud", "status": "dead"}, {"fraud"}),
    ],
)
def test_each_filter_narrows(here: Receiver, query: dict[str, str], expected: set[str]):
    here.deliver(created("1"))
    dispatches.fail(here.journal, claim(here, "validate"), "no", retry_in_seconds=None)
    here.deliver(created("2", name="churn"))
    here.deliver(payload("prompt.created"))

    items = get(here, "/api/v1/events", **query)["items"]

    short = {"dispatch.died": "died", "prompt.created": "prompt"}
    assert {short.get(item["type"], item["model"]) for item in items} == expected


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"status": "finished"}, "'open', 'waiting', 'done' or 'dead'"),
        ({"seen_by": "eyes"}, "'webhook', 'poll', 'both' or 'self'"),
        ({"modell": "fraud"}, "there is no filter modell; there are cursor, limit, model"),
        ({"limit": "501"}, "less than or equal to 500"),
        ({"limit": "0"}, "greater than or equal to 1"),
        ({"since": "yesterday"}, "datetime"),
        ({"cursor": "xyz"}, "next_cursor"),
        ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"}, "next_cursor"),
    ],
)
def test_a_wrong_filter_is_told_with_the_valid_ones(
    here: Receiver, query: dict[str, str], named: str
):
    answer = here.client.get("/api/v1/events", params=query)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


def test_one_event_shows_its_attempts_and_what_it_caused(here: Receiver):
    event_id = here.deliver(created()).json()["event_id"]
    finish(here, "validate", NewEvent(EventType.VALIDATED))

    found = get(here, f"/api/v1/events/{event_id}")

    assert found["status"] == "done"
    (dispatch,) = found["dispatches"]
    assert [attempt["outcome"] for attempt in dispatch["attempts"]] == ["succeeded"]
    assert [(each["type"], each["status"]) for each in found["caused"]] == [
        ("model_version.validated", "open")
    ]
    assert here.client.get("/api/v1/events/none").status_code == 404


def test_a_dry_run_says_what_a_replay_would_do_and_does_nothing(here: Receiver):
    promote(here, "1")
    promote(here, "2")
    here.hints.clear()

    plan = here.client.post(
        "/api/v1/replay",
        json={"filter": {"model": "fraud"}, "mode": "all", "dry_run": True},
    )

    assert plan.status_code == 200
    would = {(step["handler"], step["event_type"]): step["would"] for step in plan.json()["steps"]}
    assert would["promote", "model_version.validated"] == (
        "Version 2 is Production already: nothing would be promoted."
    )
    assert "no replica" not in would["reload", "registered_model.champion_changed"]
    older = next(step for step in plan.json()["steps"] if step["handler"] == "promote")
    assert "older than Production (version 2)" in older["would"]
    assert here.hints == []
    assert all(item["status"] != "dead" for item in get(here, "/api/v1/events")["items"])


def test_a_replay_makes_a_dead_dispatch_pending_again(here: Receiver):
    event_id = here.deliver(created()).json()["event_id"]
    dispatches.fail(here.journal, claim(here, "validate"), "no", retry_in_seconds=None)
    here.hints.clear()

    answer = here.client.post(f"/api/v1/events/{event_id}/replay", json={"reason": "fixed"})

    assert answer.status_code == 202
    assert answer.json()["counts"] == {"replay": 1}
    assert [hint.handler for hint in here.hints] == ["validate"]
    (dispatch,) = get(here, f"/api/v1/events/{event_id}")["dispatches"]
    assert (dispatch["state"], dispatch["run"]) == ("pending", 2)
    assert dispatch["note"] == "replayed by ada: fixed"


def test_a_replay_of_what_runs_is_refused(here: Receiver):
    event_id = here.deliver(created()).json()["event_id"]
    claim(here, "validate")

    answer = here.client.post(f"/api/v1/events/{event_id}/replay", json={})

    assert (answer.status_code, answer.json()["code"]) == (409, "running")


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({}, "empty_filter", '"all": true'),
        ({"filter": {}}, "empty_filter", '"all": true'),
        ({"filter": {"modle": "x"}}, "invalid", "there is no filter modle"),
        ({"filter": {"model": "x"}, "mode": "some"}, "invalid", "'failed' or 'all'"),
        ({"filter": {"model": "x"}, "handlers": ["vote"]}, "unknown_handler", "annotate, confirm"),
    ],
)
def test_a_wrong_replay_is_refused(here: Receiver, body: dict[str, Any], code: str, named: str):
    answer = here.client.post("/api/v1/replay", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert named in answer.json()["detail"]


def test_everything_is_replayed_only_when_that_is_said(here: Receiver):
    here.deliver(created())

    answer = here.client.post("/api/v1/replay", json={"all": True, "dry_run": True})

    assert (answer.status_code, answer.json()["events"]) == (200, 1)


def test_models_are_listed_by_name_and_paged(here: Receiver):
    for name in ("fraud", "churn", "spam"):
        here.deliver(created("1", name=name))

    page = get(here, "/api/v1/models", limit=2)
    rest = get(here, "/api/v1/models", limit=2, cursor=page["next_cursor"])

    assert [item["name"] for item in page["items"] + rest["items"]] == ["churn", "fraud", "spam"]
    assert page["items"][0]["versions"] == 1
    assert [item["name"] for item in get(here, "/api/v1/models", q="rau")["items"]] == ["fraud"]


def test_a_model_shows_production_versions_and_decisions(here: Receiver):
    promote(here, "1")
    here.deliver(created("10"))
    here.deliver(payload("model_version_alias.created", alias="best", version="1"))

    found = get(here, "/api/v1/models/fraud")

    assert found["production"] == "1"
    assert [each["version"] for each in found["versions"]] == ["10", "1"]
    assert [each["verdict"]["verdict"] for each in found["versions"]] == ["waiting", "promoted"]
    assert found["versions"][1]["aliases"] == ["best"]
    assert [each["type"] for each in found["decisions"]] == ["model_version.promoted"]
    assert found["past_production"] == ["1"]


def test_a_version_shows_its_tags_verdict_and_evidence(here: Receiver):
    here.deliver(created(tags={"data": "v1"}, description="good"))
    finish(here, "validate", NewEvent(EventType.HELD, data={"code": "incomplete"}))

    found = get(here, "/api/v1/models/fraud/versions/1")

    assert (found["tags"], found["description"]) == ({"data": "v1"}, "good")
    assert (found["verdict"]["verdict"], found["verdict"]["code"]) == ("held", "incomplete")
    assert found["evidence"] == {"code": "incomplete"}


@pytest.mark.parametrize(
    "path", ["none", "fraud/versions/9", "fraud/versions/9/verdict", "none/explain"]
)
def test_what_the_journal_does_not_know_is_404_with_a_way_on(here: Receiver, path: str):
    here.deliver(created())

    answer = here.client.get(f"/api/v1/models/{path}")

    assert answer.status_code == 404
    assert "/api/v1/models" in answer.json()["detail"]


def test_explain_tells_the_chain_of_a_version_and_not_of_its_neighbours(here: Receiver):
    promote(here, "1")
    promote(here, "2")
    here.deliver(payload("model_version_tag.set", version="2", key="k", value="v"))

    steps = get(here, "/api/v1/models/fraud/explain", version="1")["steps"]

    assert [step["sentence"] for step in steps] == [
        "Version 1 was registered (told by a webhook).",
        "Version 1 passed every gate: gates hold.",
        "Version 1 was promoted: it is better.",
        "Version 1 became Production (found in the registry).",
        "Version 2 was registered (told by a webhook).",
        "Version 2 passed every gate: gates hold.",
        "Version 2 was promoted: it is better.",
        "Version 2 became Production instead of version 1 (found in the registry).",
    ]
    assert steps[0]["dispatches"][0]["attempts"][0]["outcome"] == "succeeded"


def test_explain_without_a_version_is_about_production(here: Receiver):
    promote(here, "1")
    here.deliver(created("2"))

    found = get(here, "/api/v1/models/fraud/explain")

    assert found["version"] == "1"
    assert found["now"]["is_production"] is True
    assert found["now"]["verdict"]["verdict"] == "promoted"


def test_a_rollback_is_journalled_with_its_actor(here: Receiver):
    promote(here, "1")
    promote(here, "2")

    answer = here.client.post("/api/v1/models/fraud/rollback", json={"comment": "bad scores"})

    assert answer.status_code == 202
    event = get(here, f"/api/v1/events/{answer.json()['event_id']}")["event"]
    assert event["type"] == "rollback.requested"
    assert (event["data"]["actor"], event["data"]["reason"]) == ("ada", "bad scores")
    assert here.hints[-1].handler == "rollback"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "no_earlier_production"),
        ({"version": "9"}, "unknown_version"),
        ({"version": "1"}, "already_production"),
        ({"version": "2"}, "never_production"),
    ],
)
def test_a_rollback_that_cannot_be_is_refused_at_once(
    here: Receiver, body: dict[str, str], code: str
):
    promote(here, "1")
    here.deliver(created("2"))

    answer = here.client.post("/api/v1/models/fraud/rollback", json=body)

    assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_a_pause_stands_until_it_is_ended(here: Receiver):
    here.deliver(created())

    paused = here.client.post("/api/v1/pause", json={"model": "fraud", "reason": "incident"})
    assert paused.status_code == 202
    (pause,) = get(here, "/api/v1/pauses")["items"]
    assert (pause["actor"], pause["reason"]) == ("ada", "incident")
    assert get(here, "/api/v1/models/fraud")["paused"]["by"] == "ada"

    assert here.client.post("/api/v1/resume", json={"model": "fraud"}).status_code == 202
    assert here.client.post("/api/v1/resume", json={"model": "fraud"}).status_code == 409


def test_health_names_every_dependency(here: Receiver):
    found = get(here, "/api/v1/health")

    names = {"journal", "broker", "registry", "poller", "sweep", "workers", "clocks", "policy"}
    assert set(found["dependencies"]) == names
    assert found["status"] == "degraded"
    assert any(problem.startswith("sweep: ") for problem in found["problems"])
    assert found["dependencies"]["policy"]["status"] == "ok"
    assert found["dependencies"]["journal"]["status"] == "ok"


def test_openapi_documents_every_call_with_an_example(here: Receiver):
    document = get(here, "/openapi.json")

    assert {"/webhooks/mlflow", "/api/v1/replicas/{replica_id}"} <= document["paths"].keys()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["tags"], path
    problem = document["paths"]["/api/v1/events"]["get"]["responses"]["422"]["content"]
    assert "application/problem+json" in problem


def test_an_event_since_a_time_is_listed_whatever_zone_it_is_said_in(here: Receiver):
    here.deliver(created())
    past = datetime.now(UTC) - timedelta(minutes=1)

    assert types(get(here, "/api/v1/events", since=past.isoformat())) == ["model_version.created"]


def test_health_tells_of_a_refused_policy_file_until_it_is_over(here: Receiver):
    notices.put(here.journal, notices.POLICY, "steward.yaml:2: expected a list")
    refused = get(here, "/api/v1/health")
    notices.clear(here.journal, notices.POLICY)

    assert refused["dependencies"]["policy"]["status"] == "degraded"
    assert any("steward.yaml:2: expected a list" in problem for problem in refused["problems"])
    assert get(here, "/api/v1/health")["dependencies"]["policy"]["status"] == "ok"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/v1/models?modle=x", "no query parameter modle; there are cursor, limit, q."),
        ("/api/v1/models/fraud?versoin=1", "versoin; there are registry, workspace."),
        ("/api/v1/models/fraud/explain?v=1", "v; there are at, registry, version, workspace."),
        ("/api/v1/models/fraud/versions/1?x=1", "x; there are registry, workspace."),
        ("/api/v1/models/fraud/versions/1/verdict?waits=1", "there are for, registry, wait,"),
        ("/api/v1/replicas?modell=fraud", "modell; there are model."),
        ("/api/v1/events/1?x=1", "x; this call takes none."),
        ("/api/v1/pauses?x=1", "x; this call takes none."),
        ("/api/v1/health?x=1", "x; this call takes none."),
    ],
)
def test_a_misspelt_parameter_is_told_with_the_valid_ones(here: Receiver, path: str, named: str):
    answer = here.client.get(path)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/v1/events?q=", "q must not be empty"),
        ("/api/v1/events?limit=many", "limit must be a whole number"),
        ("/api/v1/events?modle=x", "there is no filter modle; there are"),
    ],
)
def test_what_is_wrong_is_told_in_our_words(here: Receiver, path: str, detail: str):
    answer = here.client.get(path)

    assert answer.json()["detail"].startswith(detail)


def test_openapi_tells_how_operators_are_refused(here: Receiver):
    answers = get(here, "/openapi.json")["paths"]["/api/v1/models/{name}"]["get"]["responses"]

    assert {"401", "404"} <= answers.keys()
    assert "application/problem+json" in answers["401"]["content"]


def test_the_page_of_the_api_shows_every_call_and_needs_nothing_from_elsewhere(here: Receiver):
    answer = here.client.get("/docs")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", answer.text)
    for path, operations in get(here, "/openapi.json")["paths"].items():
        assert f"<code>{path}</code>" in answer.text
        for operation in operations.values():
            assert operation["summary"] in html.unescape(answer.text)
    assert "<code>dry_run</code> says what would happen" in answer.text
    assert "replicas/&lt;id&gt;|" in answer.text
    assert here.client.get("/redoc").status_code == 404
