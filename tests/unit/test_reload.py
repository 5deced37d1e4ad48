"""One rollout: every live replica told, each one's answer checked, stragglers told again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from handlers.reload import reload
from steward.events import Event, EventType, NewEvent
from steward.policy import Mode
from steward.ports import Done, Outcome, Replica, ReplicaAnswer, Skipped, Wait
from tests.unit.world import MODEL, World


def changed(w: World, version: str | None = "2", cause: Event | None = None) -> Event:
    """Production went from version 1 to this one, as the journal knows."""
    w.history.know(MODEL, "", "champion", version)
    return w.event(
        EventType.CHAMPION_CHANGED,
        version,
        before="1",
        after=version,
        caused_by=cause.id if cause else None,
    )


def rollout(outcome: Outcome) -> NewEvent:
    assert isinstance(outcome, Done), outcome
    (event,) = outcome.events
    return event


def test_every_replica_serves_the_champion_at_the_next_generation():
    w = World()
    w.history.next_generation(MODEL, "1", w.event(EventType.CHAMPION_CHANGED))
    w.fleet.add(MODEL, "1", 1)
    w.fleet.add(MODEL, "1", 1)

    event = rollout(w.run(reload, changed(w)))

    assert event.type == EventType.ROLLOUT_FINISHED
    assert w.fleet.calls == [("reload", "replica-1", "2", 2), ("reload", "replica-2", "2", 2)]
    assert w.fleet.serving() == {"replica-1": "2", "replica-2": "2"}


def test_a_replay_of_a_finished_rollout_tells_the_replicas_again_and_people_no_more():
    w = World()
    w.fleet.add(MODEL, "1", 0)
    change = changed(w)
    w.run(reload, change)
    w.event(EventType.ROLLOUT_FINISHED, "2", caused_by=change.id)

    outcome = w.run(reload, change)

    assert w.fleet.calls == [("reload", "replica-1", "2", 1)] * 2
    assert isinstance(outcome, Done)
    assert outcome.events == ()


def test_a_rollout_tells_what_each_replica_serves():
    w = World()
    w.fleet.add(MODEL, "1", 0)

    event = rollout(w.run(reload, changed(w)))

    assert event.type == EventType.ROLLOUT_FINISHED
    assert event.version == "2"
    assert {key: event.data[key] for key in ("generation", "version", "previous", "cause")} == {
        "generation": 1,
        "version": "2",
        "previous": "1",
        "cause": "person",
    }
    assert event.data["replicas"] == [
        {
            "id": "replica-1",
            "url": "http://replica-1",
            "ok": True,
            "version": "2",
            "generation": 1,
            "seconds": 0.01,
            "error": None,
            "refused": False,
        }
    ]
    assert w.fleet.serving() == {"replica-1": "2"}


def test_no_replicas_are_a_finished_rollout_of_none():
    w = World()

    event = rollout(w.run(reload, changed(w)))

    assert (event.type, event.data["replicas"]) == (EventType.ROLLOUT_FINISHED, [])


def test_a_refusal_fails_the_rollout_and_is_not_asked_twice():
    w = World()
    w.fleet.add(MODEL, "1")
    w.fleet.refuse(w.fleet.add(MODEL, "1"), "2", "no module named xgboost")

    event = rollout(w.run(reload, changed(w)))

    assert event.type == EventType.ROLLOUT_FAILED
    failed = [replica for replica in event.data["replicas"] if not replica["ok"]]
    assert [(one["id"], one["error"]) for one in failed] == [
        ("replica-2", "no module named xgboost")
    ]
    assert len(w.fleet.calls) == 2


def test_a_straggler_that_never_answers_fails_the_rollout_in_time():
    w = World()
    w.fleet.lose(w.fleet.add(MODEL, "1"))

    event = rollout(w.run(reload, changed(w)))

    assert event.type == EventType.ROLLOUT_FAILED
    assert event.data["replicas"][0]["error"] == "no answer in time"
    assert len(w.fleet.calls) > 1
    assert event.data["seconds"] < 5


class Recovering:
    """A fleet in which something happens before each call but the first."""

    def __init__(self, w: World, act: Any) -> None:
        self._fleet, self._act, self._calls = w.fleet, act, 0

    def replicas(self, model: Any) -> list[Replica]:
        if self._calls:
            self._act()
        return self._fleet.replicas(model)

    def reload(self, replicas: Sequence[Replica], *args: Any, **more: Any) -> list[ReplicaAnswer]:
        self._calls += 1
        return self._fleet.reload(replicas, *args, **more)


def test_only_stragglers_are_told_again():
    w = World()
    fleet = w.fleet
    fleet.add(MODEL, "1")
    late = fleet.add(MODEL, "1")
    fleet.lose(late)

    w.fleet = Recovering(w, lambda: fleet.find(late))  # type: ignore[assignment]
    event = rollout(w.run(reload, changed(w)))

    assert event.type == EventType.ROLLOUT_FINISHED
    assert [call[1] for call in fleet.calls] == ["replica-1", "replica-2", "replica-2"]


def test_a_replica_without_a_heartbeat_is_gone_not_failed():
    w = World()
    fleet = w.fleet
    fleet.add(MODEL, "1")
    dead = fleet.add(MODEL, "1")
    fleet.lose(dead)

    w.fleet = Recovering(w, lambda: fleet._replicas.pop(dead.id, None))  # type: ignore[assignment]
    event = rollout(w.run(reload, changed(w)))

    assert event.type == EventType.ROLLOUT_FINISHED
    assert [replica["id"] for replica in event.data["replicas"]] == ["replica-1"]


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_without_leave_to_act_nothing_is_sent(mode: Mode):
    w = World(mode=mode)
    w.fleet.add(MODEL, "1")

    assert w.run(reload, changed(w)) == Skipped(f"mode is {mode}: nothing is sent")
    assert w.fleet.calls == []


def test_no_production_is_no_rollout():
    w = World()

    assert isinstance(w.run(reload, changed(w, None)), Skipped)


def test_a_champion_that_was_replaced_since_is_not_rolled_out():
    w = World()
    event = changed(w)
    w.history.know(MODEL, "", "champion", "3")

    assert w.run(reload, event) == Skipped("superseded: Production is version 3 by now")


def test_a_paused_model_waits():
    w = World()
    w.history.pauses[MODEL] = "paused by ada: audit"

    assert w.run(reload, changed(w)) == Wait(
        w.clock.now() + timedelta(days=30),
        "paused by ada: audit",
        check_seconds=3600,
        is_pause=True,
    )


def test_a_rollback_that_a_person_asked_for_goes_on_in_a_pause():
    w = World()
    w.history.pauses[MODEL] = "paused by ada: audit"
    asked = w.event(EventType.ROLLBACK_REQUESTED)

    event = rollout(w.run(reload, changed(w, cause=asked)))

    assert (event.type, event.data["cause"]) == (
        EventType.ROLLOUT_FINISHED,
        "model_version.rolled_back",
    )


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (EventType.PROMOTED, "model_version.promoted"),
        (EventType.VALIDATED, "model_version.promoted"),
        (EventType.ROLLED_BACK, "model_version.rolled_back"),
        (EventType.ROLLOUT_FAILED, "model_version.rolled_back"),
        (EventType.ALIAS_CREATED, "person"),
        (EventType.VERSION_TRANSITIONED, "person"),
    ],
)
def test_the_cause_is_told(cause: EventType, told: str):
    w = World()

    event = rollout(w.run(reload, changed(w, cause=w.event(cause, "2"))))

    assert event.data["cause"] == told


def test_a_second_try_keeps_the_generation():
    w = World()
    w.fleet.add(MODEL, "1")
    event = changed(w)

    first = rollout(w.run(reload, event))
    second = rollout(w.run(reload, event))

    assert first.data["generation"] == second.data["generation"] == 1
