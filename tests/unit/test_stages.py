"""None, Staging, Production: each step by its own gates."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from handlers.promote import promote
from handlers.validate import validate
from steward.errors import ConfigurationError
from steward.events import Event, EventType, NewEvent
from steward.policy import Mode, PolicySet
from steward.ports import Done, Intent, Outcome, Verdict, VersionInfo, Wait
from tests.unit.world import MODEL, World, make_policy

STEPS = {
    "Staging": {"required_tags": ["data_version"]},
    "Production": {"tags": {"validated": True}, "metrics": {"auc": {"min": "0.9"}}},
}
DATA = {"data_version": "2026-10"}


def world(stages: dict[str, Any] | None = None, **sections: Any) -> World:
    return World(policy=make_policy(stages=STEPS if stages is None else stages, **sections))


def created(w: World, info: VersionInfo) -> Outcome:
    return w.run(validate, w.event(EventType.VERSION_CREATED, info.version))


def judged(w: World, info: VersionInfo, **event: Any) -> Outcome:
    return w.run(promote, w.event(EventType.VALIDATED, info.version, **event))


def only_event(outcome: Outcome) -> NewEvent:
    assert isinstance(outcome, Done), outcome
    (event,) = outcome.events
    return event


def later(w: World, **hours: float) -> None:
    w.clock.at += timedelta(**hours)


def test_what_staging_asks_is_judged_with_the_other_gates():
    w = world()

    waiting = created(w, w.register(0.95))
    validated = created(w, w.register(0.95, tags=DATA))

    assert isinstance(waiting, Wait)
    assert waiting.reason.startswith("waiting for tag data_version until ")
    event = only_event(validated)
    assert event.type == EventType.VALIDATED
    assert event.data["gates"][-1] == {
        "name": "Staging: tag data_version",
        "status": "pass",
        "detail": "tag data_version is there (to enter Staging)",
        "stage": "Staging",
    }


def test_a_version_waits_in_staging_for_what_production_asks():
    w = world()
    info = w.register(0.95, tags=DATA)

    outcome = judged(w, info)

    assert isinstance(outcome, Wait)
    assert outcome.reason.startswith("waiting for tag validated until ")
    assert w.stages() == {info.version: "Staging"}
    assert Intent(MODEL, info.version, "stage", "Staging") in w.ledger.intents


def test_from_staging_to_production_once_all_is_there():
    w = world()
    w.register_champion(0.9)
    info = w.register(0.95, tags={**DATA, "validated": "True"})

    event = only_event(judged(w, info))

    assert event.type == EventType.PROMOTED
    assert [gate["status"] for gate in event.data["production_gates"]] == ["pass", "pass"]
    assert w.stages() == {"1": "Archived", "2": "Production"}


def test_a_second_look_moves_nothing_again():
    w = world()
    info = w.register(0.95, tags=DATA)
    judged(w, info)
    w.registry.requests.clear()

    judged(w, info)

    assert w.registry.requests["set_stage"] == 0


def test_what_never_comes_holds_it_in_staging():
    w = world()
    info = w.register(0.95, tags=DATA)
    later(w, hours=2)

    event = only_event(judged(w, info))

    assert (event.type, event.data["code"]) == (EventType.HELD, "incomplete")
    assert event.data["reasons"][0] == "no tag validated; true is required (to enter Production)"
    assert event.data["production_gates"][1]["status"] == "missing"
    assert w.stages() == {info.version: "Staging"}


@pytest.mark.parametrize(
    ("auc", "tag", "code", "says"),
    [
        (0.95, "false", "gate_failed", "tag validated is false; true is required"),
        (0.89, "true", "below_minimum", "0.89 is below the minimum of 0.9"),
    ],
)
def test_what_fails_there_rejects(auc: float, tag: str, code: str, says: str):
    w = world()
    info = w.register(auc, tags={**DATA, "validated": tag})

    event = only_event(judged(w, info))

    assert (event.type, event.data["code"]) == (EventType.REJECTED, code)
    assert says in event.data["reasons"][0]


def test_people_are_not_asked_before_the_gates_hold():
    w = world(promote={"first_version": "approval"})
    without = w.register(0.95, tags=DATA)
    ready = w.register(0.95, tags={**DATA, "validated": "true"})

    assert isinstance(judged(w, without), Wait)
    assert only_event(judged(w, ready)).type == EventType.APPROVAL_REQUESTED


def test_one_that_does_not_beat_production_stays_in_staging():
    w = world()
    w.register_champion(0.95)
    info = w.register(0.955, tags=DATA)

    event = only_event(judged(w, info))

    assert (event.type, event.data["code"]) == (EventType.HELD, "below_margin")
    assert w.stages() == {"1": "Production", "2": "Staging"}


def requested(w: World, info: VersionInfo, **data: Any) -> Event:
    cause = w.event(
        EventType.PROMOTION_REQUESTED, info.version, data={"actor": "ann", "reason": "now", **data}
    )
    return w.event(EventType.VALIDATED, info.version, caused_by=cause.id)


def test_a_person_needs_an_override_to_pass_the_gates():
    w = world()
    info = w.register(0.95, tags={**DATA, "validated": "false"})

    plain = only_event(w.run(promote, requested(w, info)))
    override = only_event(w.run(promote, requested(w, info, override=True)))

    assert plain.type == EventType.REJECTED
    assert override.type == EventType.PROMOTED


def test_a_rejected_or_older_version_enters_nothing():
    w = world()
    older = w.register(0.95, tags=DATA)
    w.register_champion(0.9)
    rejected = w.register(0.99, tags=DATA)
    w.history.rejected[MODEL] = {rejected.version}

    judged(w, older)
    judged(w, rejected)

    assert w.stages() == {"2": "Production"}


def while_it_is_weighed(w: World, act: Callable[[], None]) -> None:
    """Let somebody act after Production was read, once."""
    acts = [act]

    def after(method: str) -> None:
        if method == "evidence" and acts:
            acts.pop()()

    read = w.registry.evidence

    def evidence(info: VersionInfo, **wishes: Any) -> Any:
        found = read(info, **wishes)
        after("evidence")
        return found

    w.registry.evidence = evidence  # type: ignore[method-assign]


def while_replicas_prepare(w: World, info: VersionInfo, key: str, value: str) -> None:
    """Let somebody set a tag while the one replica loads the version."""
    w.fleet.add(MODEL, None, 0)
    prepare = w.fleet.prepare

    def slow(*args: Any, **more: Any) -> Any:
        w.registry.set_version_tag(MODEL, info.version, key, value)
        return prepare(*args, **more)

    w.fleet.prepare = slow  # type: ignore[method-assign]


def test_what_a_person_promoted_meanwhile_is_not_moved_back_to_staging():
    w = world()
    w.register_champion(0.9)
    info = w.register(0.95, tags=DATA)
    while_it_is_weighed(
        w,
        lambda: w.registry.set_stage(MODEL, info.version, "Production", archive_existing=True),
    )

    judged(w, info)

    assert w.stages() == {"1": "Archived", "2": "Production"}


def test_a_gate_that_held_at_validation_and_holds_no_more_stops_it():
    w = world(require={"tags": {"legal": True}})
    info = w.register(0.95, tags={**DATA, "legal": "false", "validated": "true"})

    event = only_event(judged(w, info))

    assert (event.type, event.data["code"]) == (EventType.REJECTED, "gate_failed")
    assert event.data["reasons"][0] == "tag legal is false; true is required"
    assert event.data["next"][0] == (
        "Set the tag legal of the version in MLflow to true. The version is then judged again."
    )


def test_a_gate_that_fails_while_the_replicas_prepare_stops_it():
    w = world()
    info = w.register(0.95, tags={**DATA, "validated": "true"})
    while_replicas_prepare(w, info, "validated", "false")

    event = only_event(judged(w, info))

    assert event.type == EventType.REJECTED
    assert w.stages() == {info.version: "Staging"}


def test_tags_that_no_gate_reads_do_not_stop_a_promotion():
    w = world()
    info = w.register(0.95, tags={**DATA, "validated": "true"})
    while_replicas_prepare(w, info, "steward.verdict", "waiting")

    assert only_event(judged(w, info)).type == EventType.PROMOTED
    assert [call[0] for call in w.fleet.calls] == ["prepare"]


def test_what_is_rejected_at_the_gates_of_production_enters_nothing():
    w = world()
    info = w.register(0.95, tags={**DATA, "validated": "false"})

    judged(w, info)

    assert w.stages() == {}


def test_what_was_rolled_back_from_enters_nothing():
    w = world()
    info = w.register(0.95, tags=DATA)
    w.history.rolled_back[MODEL] = {info.version}

    judged(w, info)

    assert w.stages() == {}


def test_a_promotion_that_a_crash_cut_short_keeps_its_gates():
    w = world()
    w.register_champion(0.9)
    info = w.register(0.95, tags={**DATA, "validated": "true"})
    w.registry.set_stage(MODEL, info.version, "Production", archive_existing=True)
    w.ledger.intend([Intent(MODEL, info.version, "stage", "Production")])

    event = only_event(judged(w, info))

    assert event.type == EventType.PROMOTED
    assert [gate["status"] for gate in event.data["production_gates"]] == ["pass", "pass"]


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_only_mode_act_moves_it(mode: Mode):
    w = world()
    w.mode = mode

    judged(w, w.register(0.95, tags={**DATA, "validated": "true"}))

    assert w.stages() == {}


def test_staging_without_gates_is_a_step_all_the_same():
    w = world({"Staging": {}})
    w.register_champion(0.95)
    info = w.register(0.9)

    judged(w, info)

    assert w.stages()[info.version] == "Staging"


def test_gates_of_production_alone_move_nothing_to_staging():
    w = world({"Production": {"tags": {"validated": True}}})
    info = w.register(0.95)

    assert isinstance(judged(w, info), Wait)
    assert w.stages() == {}


def test_a_tag_that_only_a_stage_reads_is_news():
    w = world()
    info = w.register(0.95)
    w.history.verdicts[MODEL, info.version] = Verdict("held", ("so",), "incomplete")

    def tagged(key: str) -> Outcome:
        return w.run(
            validate,
            w.event(EventType.VERSION_TAG_SET, info.version, seen_by="webhook", data={"key": key}),
        )

    w.registry.set_version_tag(MODEL, info.version, "data_version", "7")
    assert only_event(tagged("validated")).type == EventType.VALIDATED
    assert not isinstance(tagged("other"), Done)


def test_a_signature_asked_for_by_a_stage_is_read():
    w = world({"Staging": {"signature": True}})
    outcome = created(w, w.register(0.95))

    assert isinstance(outcome, Wait)
    assert outcome.reason.startswith("waiting for the model's files")


@pytest.mark.parametrize(
    ("stages", "production", "says"),
    [
        ("{}", "{stage: Production}", "stages is empty"),
        ("{Archived: {}}", "{stage: Production}", "unknown key 'Archived'"),
        ("{Staging: {}}", "{stage: Staging}", "names Staging itself"),
        ("{Staging: {metrics: {f1: {min: 1}}}}", "{stage: Production}", "'f1' is not declared"),
        (
            "{Production: {metrics: {auc: {}}}}",
            "{stage: Production}",
            "stages.Production.metrics.auc needs min or max",
        ),
    ],
)
def test_what_cannot_be_a_step_is_refused(stages: str, production: str, says: str):
    text = f"""version: 1
policies:
  - name: fraud
    match: {{models: ["*"]}}
    mode: act
    production: {production}
    metrics: {{auc: {{names: [auc], better: higher}}}}
    stages: {stages}
"""
    with pytest.raises(ConfigurationError, match=says):
        PolicySet.parse(text)
