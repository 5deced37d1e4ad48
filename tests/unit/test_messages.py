"""What people are told, in all three forms."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handlers.messages import compose
from handlers.rendering import limit, mrkdwn, render
from handlers.telling import Message
from handlers.wording import Links, Score, number
from steward.cli.notify_examples import examples
from steward.errors import PermanentError
from steward.events import Event, EventType, ModelRef
from steward.ports import Notification

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINKS = Links("http://mlflow:5000", "https://steward.example.com")
SCRIPT = "<script>alert('x')</script>"


def event(event_type: str, **changes: Any) -> Event:
    fields = {
        "id": "event-1",
        "source": "steward",
        "model": ModelRef("fraud"),
        "version": "7",
        "before": None,
        "after": None,
        "data": {},
        "occurred_at": AT,
        "recorded_at": AT,
    }
    return Event(type=event_type, **{**fields, **changes})


def told(*newest_first: Event, links: Links = LINKS) -> Message:
    message = compose(newest_first[0], newest_first, links)
    assert message is not None
    return message


def rendered(message: Message) -> Notification:
    return render(message, key="notify/1/1")


def decision(**changes: Any) -> dict[str, Any]:
    return {
        "verdict": "held",
        "code": "below_margin",
        "reasons": ["0.81 beats 0.80 by 0.01 only."],
        "metric": "auc",
        "candidate": {"version": "7", "value": 0.81, "name": "test_auc", "dataset": "june"},
        "champion": {"version": "6", "value": "0.80", "name": "auc", "dataset": "june"},
        "margin": "0.02",
        "gain": "0.01",
        "policy": "fraud@0123456789ab",
        "mode": "act",
        **changes,
    }


def rollout(event_type: str = EventType.ROLLOUT_FINISHED, **failed: str) -> Event:
    replicas = [
        {"id": "replica-1", "url": "http://r1", "ok": True, "version": "7"},
        {"id": "replica-2", "url": "http://r2", "ok": not failed, "version": "7", **failed},
    ]
    data = {"generation": 3, "version": "7", "replicas": replicas, "seconds": 1.25}
    return event(event_type, data=data)


@pytest.mark.parametrize("event_type", list(EventType))
@pytest.mark.parametrize(
    "data", [{}, decision(), {"replicas": None, "reasons": None, "candidate": {}, "error": "x"}]
)
def test_every_event_type_renders_in_every_form_whatever_it_lacks(
    event_type: EventType, data: dict[str, Any]
) -> None:
    notification = rendered(told(event(event_type, data=data)))

    assert "fraud" in notification.title
    assert "fraud" in notification.text
    assert "fraud" in notification.html
    assert notification.slack_blocks[0]["type"] == "header"


@pytest.mark.parametrize("name", examples())
def test_every_example_names_model_and_fits_one_screen(name: str) -> None:
    example = examples()[name]

    message = told(*example.chain)
    notification = rendered(message)

    assert "credit-risk" in message.title
    assert len(notification.title) < 100
    assert len(notification.text.splitlines()) <= 30
    assert message.next_steps
    assert message.links


def test_a_name_with_markup_stays_text_everywhere() -> None:
    model = ModelRef(SCRIPT)
    data = decision(reasons=[SCRIPT, "<!channel>"], policy=SCRIPT)

    notification = rendered(told(event(EventType.HELD, model=model, data=data)))

    blocks = json.dumps(notification.slack_blocks[1:])
    assert "<script" not in notification.html
    assert "&lt;script&gt;" in notification.html
    assert "<!channel>" not in blocks
    assert "&lt;!channel&gt;" in blocks
    assert "models/%3Cscript%3E" in notification.text


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("run", "auc 0.81 (logged as roc_auc)"),
        ("holdout", "auc 0.81 (computed as roc_auc)"),
    ],
)
def test_what_steward_measured_itself_was_not_logged(origin: str, expected: str) -> None:
    score = Score.read({"version": "7", "value": "0.81", "name": "roc_auc", "origin": origin})

    assert score is not None
    assert score.tell("auc") == expected


def test_a_held_version_is_told_number_against_number() -> None:
    message = told(event(EventType.HELD, data=decision()))

    assert message.title == "fraud version 7 held: not better by enough"
    assert dict(message.facts) == {
        "Version 7": "auc 0.81 (logged as test_auc)",
        "Version 6 (Production at the time)": "auc 0.8",
        "Difference": "better by 0.01; at least 0.02 is required",
        "Measured on": "june, both",
    }
    assert message.reasons == ("0.81 beats 0.80 by 0.01 only.",)
    assert "policy fraud@0123456789ab (mode act)" in message.footer


def test_different_data_is_pointed_out() -> None:
    other = {"version": "6", "value": 0.8, "name": "auc", "dataset": None}

    message = told(event(EventType.HELD, data=decision(champion=other)))

    assert ("Measured on", "version 7: june, version 6: not recorded") in message.facts


def test_missing_evidence_is_no_number() -> None:
    candidate = {"version": "7", "value": None, "name": None, "dataset": None}
    data = decision(code="incomplete", candidate=candidate, gain=None, champion=None)

    message = told(event(EventType.HELD, data=data))

    assert message.title == "fraud version 7 held: evidence is missing"
    assert message.facts == (("Version 7", "no auc"),)


def test_recommend_says_what_would_have_been() -> None:
    data = decision(mode="recommend", would="promoted", code="recommend")

    message = told(event(EventType.HELD, data=data))

    assert message.title == "fraud version 7 would be promoted"
    assert "In mode recommend Steward changes nothing." in message.lead


def test_a_promotion_is_told_with_what_the_replicas_serve() -> None:
    promoted = event(EventType.PROMOTED, data=decision(verdict="promoted", gain="0.05"))
    changed = event(EventType.CHAMPION_CHANGED, before="6", after="7")

    message = told(rollout(), changed, promoted)

    assert message.topic == EventType.PROMOTED
    assert message.title == "fraud version 7 promoted to Production"
    assert message.lead.endswith("It replaced version 6.")
    assert message.serving == ("2 of 2 replicas serve version 7 (after 1.2 s).",)
    assert message.severity == "success"


def test_a_failed_rollout_names_each_replica_and_its_error() -> None:
    promoted = event(EventType.PROMOTED, data=decision(verdict="promoted", champion=None))
    failed = rollout(EventType.ROLLOUT_FAILED, version="6", error="no memory")

    message = told(failed, promoted)

    assert message.title == (
        "fraud version 7 promoted to Production, but not every replica serves it"
    )
    assert message.lead.endswith("Nothing was in Production before.")
    assert message.serving[1] == "replica-2 at http://r2: serves version 6: no memory"
    assert message.severity == "failure"


def test_only_the_first_replicas_in_trouble_are_listed() -> None:
    replicas = [{"id": f"r{n}", "ok": False} for n in range(1000)]

    message = told(event(EventType.ROLLOUT_FAILED, data={"replicas": replicas}))

    assert len(message.serving) == 12
    assert message.serving[-1] == "and 990 more"


def test_a_rollout_of_no_replicas_is_no_failure() -> None:
    message = told(event(EventType.ROLLOUT_FINISHED, data={"replicas": []}))

    assert message.serving == ("No replica is running, so there was nothing to reload.",)
    assert message.severity == "info"


def test_a_champion_changed_by_a_person_is_told_as_that() -> None:
    moved = event(EventType.ALIAS_CREATED, before="6", after="7")
    changed = event(EventType.CHAMPION_CHANGED, before="6", after="7", version=None)

    message = told(rollout(), changed, moved)

    assert message.title == "fraud version 7 put into Production by hand"
    assert message.next_steps == ("If nobody meant this: steward rollback fraud 6",)


def test_a_persons_no_says_what_passes_it() -> None:
    message = told(event(EventType.APPROVAL_REJECTED, data={"actor": "ada"}))

    (step,) = message.next_steps
    assert message.title == "fraud version 7 rejected by ada"
    assert step.endswith(": steward promote fraud 7 --override --reason WHY")


def test_a_champion_taken_away_is_told_as_that() -> None:
    changed = event(EventType.CHAMPION_CHANGED, before="6", after=None, version=None)

    message = told(rollout(), changed)

    assert message.title == "fraud has no version in Production any more"


def test_a_rollback_after_a_promotion_is_about_the_rollback() -> None:
    rolled_back = event(
        EventType.ROLLED_BACK, before="7", after="6", data={"reason": "errors", "actor": "maria"}
    )
    promoted = event(EventType.PROMOTED, data=decision(verdict="promoted"))

    message = told(rollout(), rolled_back, event(EventType.ROLLOUT_FAILED), promoted)

    assert message.title == "fraud version 7 rolled back; Production is version 6"
    assert message.reasons == ("errors",)
    assert ("Asked for by", "maria") in message.facts


def test_a_dead_dispatch_says_how_to_replay_it() -> None:
    data = {"handler": "promote", "event_id": "e-7", "error": "403", "attempts": 8}

    message = told(event(EventType.DISPATCH_DIED, data=data))

    assert message.next_steps == ("When the cause is gone: steward events replay e-7",)
    assert message.links == (("Event", "https://steward.example.com/api/v1/events/e-7"),)


def test_an_event_that_holds_nothing_is_not_told() -> None:
    nothing = event("somebody.sneezed", model=None, version=None)

    assert compose(nothing, [nothing], LINKS) is None


def test_links_quote_names_and_drop_credentials() -> None:
    links = Links("http://user:secret@mlflow:5000/base/", "")

    message = told(event(EventType.HELD, model=ModelRef("a/b c")), links=links)

    assert message.links == (
        ("Version 7 in MLflow", "http://mlflow:5000/base/#/models/a%2Fb%20c/versions/7"),
    )


@pytest.mark.parametrize("registry_url", ["", "sqlite:///mlflow.db", "databricks", "http://["])
def test_a_registry_without_pages_gets_no_link(registry_url: str) -> None:
    message = told(event(EventType.HELD), links=Links(registry_url, ""))

    assert message.links == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9, "0.9"),
        ("0.020", "0.02"),
        (0.1 + 0.2, "0.3"),
        (100, "100"),
        (-0.00000001, "0"),
        (float("nan"), "not a number"),
        ("2 %", "2 %"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: Any, text: str) -> None:
    assert number(value) == text


def test_slack_bounds_are_kept() -> None:
    long = Message(
        topic="x",
        title="x" * 400,
        lead="<" * 4000,
        facts=tuple((str(n), "&" * 3000) for n in range(23)),
        reasons=tuple("x" * 400 for _ in range(10)),
        links=(("l" * 100, "https://example.com"),),
    )

    blocks: list[Any] = list(rendered(long).slack_blocks)

    assert len(blocks) <= 50
    assert len(blocks[0]["text"]["text"]) == 150
    for block in blocks:
        assert len(block.get("fields", ())) <= 10
        assert all(len(field["text"]) <= 2000 for field in block.get("fields", ()))
        if block["type"] == "section" and "text" in block:
            assert len(block["text"]["text"]) <= 3000


def test_a_cut_never_leaves_half_an_escaped_character() -> None:
    assert limit(mrkdwn("ab<cd"), 6) == "ab…"
    assert limit(mrkdwn("ab<cd"), 8) == "ab&lt;cd"


def test_an_installation_may_bring_its_own_template(tmp_path: Path) -> None:
    (tmp_path / "notification.txt.j2").write_text("Our words: {{ message.title }}")

    notification = render(told(event(EventType.HELD)), key="k", templates_dir=tmp_path)

    assert notification.text == "Our words: fraud version 7 held\n"
    assert "<html" in notification.html


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notification.txt.j2", "{{ message.titel }}"),
        ("notification.html.j2", "{% if %}"),
        ("notification.slack.json.j2", "[{]"),
        ("notification.slack.json.j2", '{"a": 1}'),
    ],
)
def test_a_wrong_template_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(PermanentError, match=name):
        render(told(event(EventType.HELD)), key="k", templates_dir=tmp_path)
