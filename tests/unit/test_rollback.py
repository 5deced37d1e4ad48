"""Going back: to the previous good version, by the same road, one step."""

from typing import Any

import pytest

from handlers.promote import promote
from handlers.rollback import rollback
from steward.errors import PermanentError, TransientError
from steward.events import Event, EventType, NewEvent
from steward.policy import Mode
from steward.ports import Done, Outcome, Skipped, Verdict
from tests.unit.world import MODEL, World, make_policy

AUTOMATIC = make_policy(reload={"on_failure": "rollback", "timeout_seconds": 0.3})


def three_champions(w: World) -> World:
    """Versions 1, 2 and 3 were Production in turn."""
    for auc in (0.85, 0.88, 0.91):
        w.register_champion(auc)
    return w


def asked(w: World, **data: Any) -> Event:
    told = {"to": None, "actor": "ada", "reason": "complaints", **data}
    return w.event(EventType.ROLLBACK_REQUESTED, data=told)


def only_event(outcome: Outcome) -> NewEvent:
    assert isinstance(outcome, Done), outcome
    (event,) = outcome.events
    return event


def test_the_previous_champion_becomes_production_again():
    w = three_champions(World())

    outcome = w.run(rollback, asked(w))

    event = only_event(outcome)
    assert event.type == EventType.ROLLED_BACK
    assert (event.version, event.before, event.after) == ("3", "3", "2")
    assert event.data["reasons"] == ["rolled back to version 2: complaints"]
    assert event.data["actor"] == "ada"
    assert w.stages() == {"1": "Archived", "2": "Production", "3": "Archived"}
    assert w.aliases()["champion"] == "2"
    assert isinstance(outcome, Done)
    assert outcome.readings[0].value == "2"


def test_a_replay_of_a_rollback_that_was_made_goes_no_further_back():
    w = three_champions(World())
    request = asked(w)
    w.run(rollback, request)
    w.event(EventType.ROLLED_BACK, "3", after="2", caused_by=request.id)

    outcome = w.run(rollback, request)

    assert outcome == Skipped("done already: Production went back to version 2")
    assert w.stages()["2"] == "Production"


def test_replicas_prepare_first():
    w = three_champions(World())
    w.fleet.add(MODEL, "3", 0)

    w.run(rollback, asked(w))

    assert w.fleet.calls == [("prepare", "replica-1", "2", 1)]


def test_a_person_may_name_the_version():
    w = three_champions(World())

    assert only_event(w.run(rollback, asked(w, to="1"))).after == "1"


def test_versions_left_rejected_or_deleted_are_passed_over():
    w = three_champions(World())
    for auc in (0.92, 0.93, 0.94):
        w.register_champion(auc)
    w.history.rolled_back[MODEL] = {"5"}
    w.history.verdicts[MODEL, "4"] = Verdict("rejected")
    w.history.rejected[MODEL] = {"3"}
    w.registry.delete_version(MODEL, "2")

    rolled_back = only_event(w.run(rollback, asked(w)))

    assert rolled_back.after == "1"
    assert rolled_back.data["reasons"][1:] == [
        "version 5 was passed over: Production was rolled back from it before",
        "version 4 was passed over: it was rejected",
        "version 3 was passed over: a person rejected it",
        "version 2 was passed over: it was deleted",
    ]


def test_what_lies_beyond_the_version_gone_back_to_is_not_told():
    w = three_champions(World())
    w.history.rejected[MODEL] = {"1"}

    of_itself = only_event(w.run(rollback, asked(w)))

    assert of_itself.after == "2"
    assert len(of_itself.data["reasons"]) == 1


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("3", "version 3 is Production already"),
        ("9", "fraud has no version 9"),
        ("2", "version 2 was rejected"),
    ],
)
def test_what_cannot_be_gone_back_to_is_said(to: str, reason: str):
    w = three_champions(World())
    w.history.rejected[MODEL] = {"2"}

    assert w.run(rollback, asked(w, to=to)) == Skipped(reason)


def test_it_is_no_way_past_the_gates():
    w = three_champions(World())
    w.register(0.5)
    w.history.verdicts[MODEL, "4"] = Verdict("held", ("below the minimum",))

    outcome = w.run(rollback, asked(w, to="4"))

    assert w.stages()["3"] == "Production"
    assert outcome == Skipped(
        "version 4 never was Production, as far as the journal knows; to make it Production by the "
        "gates: steward promote fraud 4"
    )


def test_with_nothing_to_go_back_to_it_says_so():
    w = World()
    w.register_champion(0.9)

    assert w.run(rollback, asked(w)) == Skipped("fraud has no earlier good version to go back to")


def test_with_all_rejected_it_says_so_of_each():
    w = three_champions(World())
    w.history.rejected[MODEL] = {"1", "2"}

    outcome = w.run(rollback, asked(w))

    assert isinstance(outcome, Skipped)
    assert outcome.reason == (
        "fraud has no earlier good version to go back to; version 2 was passed over: a person "
        "rejected it; version 1 was passed over: a person rejected it"
    )


def test_a_version_that_replicas_refuse_is_not_gone_back_to():
    w = three_champions(World())
    w.fleet.refuse(w.fleet.add(MODEL, "3"), "2", "no module named xgboost")

    with pytest.raises(PermanentError, match="Production stays version 3: 1 of 1 replicas"):
        w.run(rollback, asked(w))

    assert w.stages()["3"] == "Production"


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_without_leave_to_act_production_stays(mode: Mode):
    w = three_champions(World(mode=mode))

    assert isinstance(w.run(rollback, asked(w)), Skipped)
    assert w.stages()["3"] == "Production"


def test_a_person_may_roll_back_in_a_pause():
    w = three_champions(World())
    w.history.pauses[None] = "paused by ada: audit"

    assert only_event(w.run(rollback, asked(w))).after == "2"


def test_a_crash_after_the_stage_was_written_goes_no_further_back():
    w = three_champions(World())
    event = asked(w)

    def crash(_method: str) -> None:
        raise KeyboardInterrupt

    w.registry.after = crash
    with pytest.raises(KeyboardInterrupt):
        w.run(rollback, event)
    w.registry.after = None

    told = only_event(w.run(rollback, event))

    assert (told.version, told.after) == ("3", "2")
    assert w.aliases() == {"champion": "2", "previous_champion": "3"}


def test_the_version_rolled_back_from_is_not_promoted_again():
    w = three_champions(World())
    w.run(rollback, asked(w))
    w.history.rolled_back[MODEL] = {"3"}

    outcome = w.run(promote, w.event(EventType.VALIDATED, "3"))

    assert only_event(outcome).data["code"] == "rolled_back_from"


@pytest.mark.parametrize("kind", [EventType.PROMOTED, EventType.ROLLED_BACK])
def test_a_rollback_of_what_steward_has_replaced_meanwhile_is_left_to_the_person(kind: EventType):
    w = three_champions(World())
    request = asked(w)
    w.clock.advance(1)
    w.event(kind, "3", before="2", after="3")

    outcome = w.run(rollback, request)

    assert outcome == Skipped(
        "Steward made version 3 Production after this was asked for; look, and ask again to go "
        "back from it"
    )
    assert w.stages()["3"] == "Production"
    assert only_event(w.run(rollback, asked(w))).after == "2"


def test_a_version_that_a_person_names_is_gone_back_to_whatever_happened_meanwhile():
    w = three_champions(World())
    request = asked(w, to="1")
    w.clock.advance(1)
    w.event(EventType.PROMOTED, "3", before="2", after="3")

    assert only_event(w.run(rollback, request)).after == "1"


def test_a_rollback_is_told_though_the_version_it_left_was_deleted_halfway():
    w = three_champions(World())
    request = asked(w)

    def delete_what_was_left(method: str) -> None:
        if method == "set_stage":
            w.registry.after = None
            w.registry.delete_version(MODEL, "3")

    w.registry.after = delete_what_was_left
    with pytest.raises(TransientError, match="deleted"):
        w.run(rollback, request)

    assert only_event(w.run(rollback, request)).after == "2"
    assert w.aliases()["champion"] == "2"


# --- automatic -----------------------------------------------------------------------------------


def failed(w: World, *, refused: bool = True, cause: str = "model_version.promoted") -> Event:
    replicas = [{"id": "replica-1", "ok": False, "refused": refused}]
    data = {"version": "3", "replicas": replicas, "cause": cause}
    return w.event(EventType.ROLLOUT_FAILED, "3", data=data)


def test_a_refused_promotion_is_undone_where_the_policy_says_so():
    w = three_champions(World(AUTOMATIC))

    event = only_event(w.run(rollback, failed(w)))

    assert (event.version, event.after, event.data["actor"]) == ("3", "2", "steward")
    assert event.data["reasons"] == ["rolled back to version 2: a replica refused it"]


def test_by_default_people_are_told_instead():
    w = three_champions(World())

    assert isinstance(w.run(rollback, failed(w)), Skipped)


def test_a_replica_that_is_merely_down_demotes_nothing():
    w = three_champions(World(AUTOMATIC))

    outcome = w.run(rollback, failed(w, refused=False))

    assert outcome == Skipped(
        "no live replica refused the version; one that is down demotes nothing"
    )


@pytest.mark.parametrize("cause", ["person", "model_version.rolled_back"])
def test_only_promotions_are_undone(cause: str):
    w = three_champions(World(AUTOMATIC))

    assert isinstance(w.run(rollback, failed(w, cause=cause)), Skipped)


def test_a_rollback_is_followed_by_no_other():
    w = three_champions(World(AUTOMATIC))
    before = w.event(EventType.ROLLED_BACK, "4")
    event = failed(w)
    w.history.events[event.id] = type(event).from_cloudevent(
        {**event.to_cloudevent(), "causedby": before.id}
    )

    assert w.run(rollback, event) == Skipped("this already comes from a rollback")


def test_a_pause_holds_back_automatic_rollbacks():
    w = three_champions(World(AUTOMATIC))
    w.history.pauses[None] = "paused by ada: audit"

    assert w.run(rollback, failed(w)) == Skipped("automation is paused by ada: audit")


def test_what_stopped_halfway_is_finished_in_a_pause():
    w = three_champions(World(AUTOMATIC))
    event = failed(w)
    w.stop_halfway(rollback, event)
    w.history.pauses[MODEL] = "paused by ada: audit"

    assert only_event(w.run(rollback, event)).after == "2"
    assert w.aliases()["champion"] == "2"


def test_production_that_changed_since_is_left_alone():
    w = three_champions(World(AUTOMATIC))
    w.register_champion(0.95)

    assert w.run(rollback, failed(w)) == Skipped("superseded: Production is version 4 by now")
