"""What people do: by hand in MLflow, and by Steward's own verbs. Replicas follow both."""

from collections.abc import Iterator

import pytest

from steward.events import EventType
from tests.acceptance.conftest import Told
from tests.acceptance.installation import Installation
from tests.servers import eventually

MODEL = "churn"


@pytest.fixture
def two(house: Installation) -> Iterator[tuple[str, str]]:
    """Two versions of a served model: the previous Production and the present one."""
    previous = house.promote(MODEL, auc=house.better_auc(MODEL), real_model=True)
    present = house.promote(MODEL, auc=house.better_auc(MODEL), real_model=True)
    house.settle(MODEL)
    yield previous, present
    house.settle(MODEL)


def test_an_alias_that_is_moved_by_hand_moves_the_stage_and_the_replicas(
    house: Installation, two: tuple[str, str], told: Told
) -> None:
    previous, present = two

    house.mlflow.set_registered_model_alias(MODEL, "champion", previous)

    eventually(lambda: house.serving(MODEL) == [previous, previous], 20)
    assert house.in_production(MODEL) == [previous]
    assert house.stages(MODEL)[present] == "Archived"
    assert house.aliases(MODEL)["champion"] == previous
    change = house.events(model=MODEL, type=EventType.CHAMPION_CHANGED)[-1]
    assert (change["data"]["before"], change["data"]["after"]) == (present, previous)
    eventually(lambda: told.slack(f"{MODEL} version {previous} put into Production by hand"), 20)


def test_a_stage_that_is_changed_by_hand_moves_the_alias_and_the_replicas(
    house: Installation, two: tuple[str, str]
) -> None:
    previous, present = two

    house.transition(MODEL, previous, "Production", archive=True)

    eventually(lambda: house.serving(MODEL) == [previous, previous], 20)
    eventually(lambda: house.aliases(MODEL)["champion"] == previous, 10)
    change = house.events(model=MODEL, type=EventType.CHAMPION_CHANGED)[-1]
    assert (change["data"]["before"], change["data"]["after"]) == (present, previous)
    transitions = house.events(model=MODEL, version=previous, type=EventType.VERSION_TRANSITIONED)
    assert transitions[-1]["seen_by"] == "poll"


def test_two_versions_in_production_by_hand_are_told_and_left_alone(
    house: Installation, name: str, told: Told
) -> None:
    first = house.promote(name, auc=0.9)
    second = house.register(name, auc=0.5)
    assert house.verdict(name, second)["verdict"] == "rejected"

    house.transition(name, second, "Production")

    violated = house.only(model=name, type=EventType.POLICY_VIOLATED)
    assert violated["data"]["violation"] == "two_in_production"
    eventually(lambda: [text for text in told.slack(name) if "two in production" in text], 20)
    assert sorted(house.in_production(name)) == sorted([first, second])


def test_a_rollback_brings_back_the_previous_version_everywhere(
    house: Installation, two: tuple[str, str], told: Told
) -> None:
    previous, present = two

    done = house.cli("rollback", MODEL, "--reason", "complaints")

    assert done.returncode == 0, done.stderr
    assert f"from version {present} to {previous}" in done.stdout
    assert house.serving(MODEL) == [previous, previous]
    assert house.in_production(MODEL) == [previous]
    assert house.verdict(MODEL, previous)["verdict"] == "promoted"
    assert house.aliases(MODEL)["champion"] == previous
    eventually(lambda: house.tags(MODEL, present)["steward.verdict"] == "rolled_back", 10)
    (slack,) = eventually(lambda: told.slack(f"{MODEL} version {present} rolled back"), 20)
    assert "complaints" in slack


def test_a_version_that_production_went_back_to_is_promoted_whatever_was_said_of_it(
    house: Installation, name: str
) -> None:
    house.promote(name, auc=0.86)
    house.promote(name, auc=0.90)
    assert house.cli("rollback", name).returncode == 0
    eventually(lambda: house.tags(name, "2")["steward.verdict"] == "rolled_back", 20)

    assert house.cli("rollback", name, "2", "--reason", "a false alarm").returncode == 0

    eventually(lambda: house.tags(name, "2")["steward.verdict"] == "promoted", 20)
    assert house.tags(name, "2")["steward.reason"].endswith("from version 1: a false alarm")
    eventually(lambda: house.tags(name, "1")["steward.verdict"] == "rolled_back", 20)


def test_a_version_that_was_rolled_back_from_is_not_promoted_again_by_itself(
    house: Installation, two: tuple[str, str]
) -> None:
    previous, present = two
    assert house.cli("rollback", MODEL).returncode == 0
    validated = house.only(model=MODEL, version=present, type=EventType.VALIDATED)

    house.post(f"/events/{validated['id']}/replay", {"handlers": ["promote"], "mode": "all"})

    held = house.only(model=MODEL, version=present, type=EventType.HELD)
    assert held["data"]["code"] == "rolled_back_from"
    assert house.in_production(MODEL) == [previous]


def test_a_replay_of_a_rollback_goes_no_further_back(house: Installation, name: str) -> None:
    for auc in (0.86, 0.9, 0.94):
        house.promote(name, auc=auc)
    assert house.cli("rollback", name).returncode == 0
    assert house.in_production(name) == ["2"]
    request = house.only(model=name, type=EventType.ROLLBACK_REQUESTED)

    house.post(f"/events/{request['id']}/replay", {"mode": "all"})

    house.settle(name)
    assert house.in_production(name) == ["2"]
    assert len(house.events(model=name, type=EventType.ROLLED_BACK)) == 1


def test_a_rollback_of_a_model_with_no_past_says_so(house: Installation, name: str) -> None:
    house.promote(name, auc=0.9)

    done = house.cli("rollback", name)

    assert done.returncode == 1
    assert "had no Production before" in done.stdout + done.stderr
    assert house.cli("rollback", "no-such-model").returncode == 1


def test_a_paused_model_waits_with_the_reason_and_goes_on_when_resumed(
    house: Installation, name: str
) -> None:
    first = house.promote(name, auc=0.9)
    assert house.cli("pause", name, "--reason", "audit of the week").returncode == 0

    version = house.register(name, auc=0.95)

    eventually(lambda: house.tags(name, version).get("steward.verdict") == "waiting", 10)
    assert "audit of the week" in house.tags(name, version)["steward.reason"]
    assert "audit of the week" in house.verdict(name, version, wait=0)["reasons"][0]
    assert house.in_production(name) == [first]
    assert house.cli("resume", name).returncode == 0
    assert house.verdict(name, version)["verdict"] == "promoted"
    assert house.in_production(name) == [version]
