"""An operator asks again: what would happen, what happens, and what is never done twice."""

import json
from collections import Counter
from collections.abc import Callable

from steward.events import EventType
from tests.acceptance.conftest import Told
from tests.acceptance.deliveries import created, deliver
from tests.acceptance.installation import Installation
from tests.servers import Answer, CapturedRequest, eventually


def test_a_preview_changes_nothing_and_says_what_would_happen(
    house: Installation, name: str
) -> None:
    version = house.promote(name, auc=0.9)
    house.settle(name)
    validated = house.only(model=name, type=EventType.VALIDATED)
    before = _picture(house, name)

    planned = house.post(f"/events/{validated['id']}/replay", {"mode": "all", "dry_run": True})

    promote = next(step for step in planned["steps"] if step["handler"] == "promote")
    assert (promote["action"], promote["run"]) == ("replay", 2)
    assert f"Version {version} is Production already" in promote["would"]
    assert _picture(house, name) == before
    told = house.cli("events", "replay", "--model", name, "--mode", "all", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "promote" in told.stdout
    assert _picture(house, name) == before


def test_a_replay_of_everything_tells_people_again_and_writes_the_registry_no_more(
    house: Installation, name: str, told: Told
) -> None:
    house.promote(name, auc=0.9)
    house.promote(name, auc=0.95)
    house.settle(name)
    # Both said their word once; MLflow's own record of aliases is what must not grow.
    eventually(lambda: _told(told, name) == Counter(slack=2, email=2, apprise=2), 20)
    house.settle(name)
    before = _writes(house, name)

    done = house.cli("events", "replay", "--model", name, "--mode", "all", "--yes")

    assert done.returncode == 0, done.stderr
    eventually(lambda: _told(told, name) == Counter(slack=4, email=4, apprise=4), 30)
    house.settle(name)
    assert _told(told, name) == Counter(slack=4, email=4, apprise=4)
    assert _writes(house, name) == before
    promotions = house.events(model=name, type=EventType.PROMOTED)
    assert [each["version"] for each in promotions] == ["1", "2"]
    assert len(house.events(model=name, type=EventType.ROLLOUT_FINISHED)) == 2


def test_what_died_succeeds_when_it_is_replayed_after_its_cause_is_gone(
    house: Installation, name: str, told: Told
) -> None:
    told.http.answer_with = _refuse_slack(f"{name} ")
    try:
        house.promote(name, auc=0.9)
        finished = house.only(model=name, type=EventType.ROLLOUT_FINISHED)
        eventually(lambda: _states(house, finished["id"])["slack"] == "dead", 20)
    finally:
        told.http.answer_with = None
    for channel in ("email", "apprise"):
        eventually(lambda name=channel: _states(house, finished["id"])[name] == "succeeded", 20)
    assert [each["id"] for each in house.events(model=name, status="dead")] == [finished["id"]]

    done = house.cli("events", "replay", finished["id"], "--reason", "Slack is back")

    assert done.returncode == 0, done.stderr
    eventually(lambda: _states(house, finished["id"])["slack"] == "succeeded", 20)
    assert len(told.mails(f"{name} ")) == 1
    assert not house.events(model=name, status="dead")


def test_the_same_delivery_a_hundred_times_is_one_event_and_one_promotion(
    house: Installation, name: str
) -> None:
    version = house.promote(name, auc=0.9)
    (known,) = house.events(model=name, type=EventType.VERSION_CREATED)

    answers = [
        deliver(house, created(name, version), delivery_id=f"{name}-{number % 10}").json()
        for number in range(100)
    ]

    assert all(each == {"event_id": known["id"], "duplicate": True} for each in answers)
    house.settle(name)
    assert len(house.events(model=name, type=EventType.VERSION_CREATED)) == 1
    assert len(house.events(model=name, type=EventType.PROMOTED)) == 1


def test_a_replay_of_an_event_that_nobody_knows_says_so(house: Installation) -> None:
    done = house.cli("events", "replay", "no-such-event")

    assert done.returncode == 1
    assert "no event" in (done.stdout + done.stderr).lower()


def _picture(house: Installation, model: str) -> object:
    """All that a replay could change: events, runs of dispatches, and MLflow's own state."""
    events = house.events(model=model)
    runs = [
        (d["id"], d["run"], d["state"])
        for event in events
        for d in house.event(event["id"])["dispatches"]
    ]
    return [each["id"] for each in events], runs, _writes(house, model)


def _writes(house: Installation, model: str) -> object:
    """What the registry was told: its state, and each alias and stage event that it caused."""
    kinds = (
        EventType.ALIAS_CREATED,
        EventType.VERSION_TRANSITIONED,
        EventType.CHAMPION_CHANGED,
    )
    counts = {kind: len(house.events(model=model, type=kind)) for kind in kinds}
    return house.stages(model), house.aliases(model), counts


def _told(told: Told, model: str) -> Counter[str]:
    about = f"{model} "
    return Counter(
        slack=len(told.slack(about)), email=len(told.mails(about)), apprise=len(told.apprise(about))
    )


def _refuse_slack(about: str) -> Callable[[CapturedRequest], Answer]:
    """Slack refuses for good what is about one model; every other message gets through."""

    def answer(request: CapturedRequest) -> Answer:
        is_refused = request.path == "/slack" and json.loads(request.body)["text"].startswith(about)
        return Answer(404, b"no_service") if is_refused else Answer()

    return answer


def _states(house: Installation, event_id: str) -> dict[str, str]:
    return {d["target"]: d["state"] for d in house.event(event_id)["dispatches"]}
