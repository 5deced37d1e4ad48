"""What people are told to do: the command that works, the tag by name, and nothing that is vain."""

import re

import pytest

from handlers import next_steps
from handlers.gates import Gate
from handlers.promote import promote
from handlers.validate import validate
from steward.events import Event, EventType
from steward.ports import Done
from tests.unit.world import World, make_policy

TAG = Gate("tag validated", "fail", "tag validated is no; true is required", "gate_failed")
REPLAY = re.compile(r"steward events replay (\S+)( --mode all)?$")


def told(code: str, *gates: Gate, **sections: object) -> list[str]:
    w = World(policy=make_policy(**sections))
    return next_steps.after(code, w.event(EventType.VERSION_CREATED, "7"), w.policy, gates=gates)


@pytest.mark.parametrize("code", [*next_steps._BY_CODE, *next_steps._BY_GATES])
def test_a_replay_that_is_advised_repeats_what_ended_well(code: str) -> None:
    for step in told(code, TAG):
        if "events replay" in step:
            found = REPLAY.search(step)
            assert found, "nothing follows a command that people paste"
            assert found[2] == " --mode all"


def test_a_check_that_could_not_be_made_is_repeated_by_replaying_what_was_judged() -> None:
    w = World()
    event = w.event(EventType.VERSION_CREATED, "7")

    steps = next_steps.after("check_incomplete", event, w.policy)

    assert steps[0] == f"When the cause is gone: steward events replay {event.id} --mode all"
    assert "register a mended model" in steps[1]


def test_a_ruling_on_a_validation_is_repeated_from_where_the_judgement_began() -> None:
    w = World(policy=make_policy(require={"metrics": {}}))
    w.register_champion(0.9)
    created = w.event(EventType.VERSION_CREATED, w.register(0.901).version)
    validated = w.event(EventType.VALIDATED, created.version, caused_by=created.id)

    held = only(w.run(promote, validated))

    assert held.data["code"] == "below_margin"
    assert held.data["next"][-1].endswith(f"steward events replay {created.id} --mode all")
    assert "steward promote fraud 2" in held.data["next"][1]


def test_the_tag_that_is_wrong_is_named_with_the_value_that_is_asked_for() -> None:
    steps = told("gate_failed", TAG, require={"tags": {"validated": True}})

    assert steps[0] == (
        "Set the tag validated of the version in MLflow to true. The version is then judged again."
    )


def test_a_rejection_by_a_check_promises_no_judgement_by_itself() -> None:
    steps = told("check_failed", Gate("check schema", "fail", "it differs", "check_failed"))

    assert not any("judged again." in step for step in steps)
    assert steps[0].startswith("Files of a registered version never change")
    assert steps[1].endswith("the policy can allow it: checks: {schema: {breaking: allow}}")
    assert "A changed policy judges nothing again by itself" in steps[2]


def test_only_a_schema_that_breaks_can_be_allowed() -> None:
    steps = told("check_failed", Gate("check quality.auc", "fail", "too low", "check_failed"))

    assert not any("breaking: allow" in step for step in steps)


def test_a_number_below_its_minimum_needs_a_better_version() -> None:
    gate = Gate("metric auc", "fail", "auc 0.8 is below the minimum of 0.85", "below_minimum")

    steps = told("below_minimum", gate)

    assert steps[0] == "Register a better model, as a new version."
    assert not any("then judged again" in step for step in steps)


def test_a_rejected_version_is_told_what_the_gate_that_stopped_it_needs() -> None:
    w = World(policy=make_policy(require={"tags": {"validated": True}}))
    created = w.event(EventType.VERSION_CREATED, w.register(tags={"validated": "no"}).version)

    rejected = only(w.run(validate, created))

    assert rejected.data["next"][0].startswith("Set the tag validated of the version in MLflow to")
    assert rejected.data["next"][-1].endswith(f"{created.id} --mode all")


def test_who_waits_for_a_tag_is_told_to_set_it() -> None:
    policy = make_policy(stages={"Production": {"tags": {"validated": True}}})

    note = "waiting for tag validated, test_auc until 12:00 UTC"
    (step,) = next_steps.while_waiting(note, "fraud", "7", policy)

    assert step == (
        "Set the tag validated of the version in MLflow to true. "
        "It is judged as soon as that is seen."
    )


def test_who_waits_in_a_freeze_is_told_how_a_person_passes_it() -> None:
    note = "frozen until 2026-12-01 00:00 UTC; would be promoted: it is better"

    steps = next_steps.while_waiting(note, "my model", "7", make_policy())

    assert steps == ["To promote it in the freeze all the same: steward promote 'my model' 7"]


def test_who_waits_in_a_pause_is_told_how_it_ends() -> None:
    steps = next_steps.while_waiting("paused by ada: audit", "my model", "7", make_policy())

    assert steps == [
        "It goes on when the pause ends: steward resume 'my model' (of everything: steward resume)"
    ]


def only(outcome: object) -> Event:
    assert isinstance(outcome, Done)
    (event,) = outcome.events
    return event
