"""The fakes keep what the ports promise, so that a handler's test means something."""

import pytest

from steward.errors import TransientError
from steward.events import ModelRef
from steward.ports import Channel, Clock, Fleet, History, Intent, Ledger, Registry
from tests.fakes import (
    FakeChannel,
    FakeFleet,
    FakeHistory,
    FakeLedger,
    FakeRegistry,
    FixedClock,
)

MODEL = ModelRef("fraud")


@pytest.fixture
def registry(clock: FixedClock) -> FakeRegistry:
    return FakeRegistry(clock)


@pytest.mark.parametrize(
    ("port", "fake"),
    [
        (Registry, FakeRegistry),
        (Fleet, FakeFleet),
        (Channel, FakeChannel),
        (Ledger, FakeLedger),
        (History, FakeHistory),
        (Clock, FixedClock),
    ],
)
def test_every_method_of_a_port_is_there(port: type, fake: type):
    promised = {name for name in vars(port) if not name.startswith("_")}

    assert promised <= set(dir(fake))


def test_a_registry_can_be_away_for_a_while(registry: FakeRegistry):
    registry.create_version("fraud")
    registry.fail(TransientError("away"), times=2)

    for _ in range(2):
        with pytest.raises(TransientError):
            registry.version(MODEL, "1")

    assert registry.version(MODEL, "1").version == "1"
    assert registry.requests == {"version": 3}


def test_a_test_may_act_right_after_a_write(registry: FakeRegistry):
    registry.create_version("fraud")
    registry.create_version("fraud")
    registry.after = lambda method: registry.describe(MODEL, "1", f"changed after {method}")

    registry.set_alias(MODEL, "champion", "2")

    assert registry.version(MODEL, "1").description == "changed after set_alias"


def test_a_deleted_model_starts_again_at_version_1(registry: FakeRegistry, clock: FixedClock):
    registry.create_version("fraud")
    registry.delete_model(MODEL)
    clock.advance(60)

    again = registry.create_version("fraud")

    assert (again.version, again.created_at) == ("1", clock.now())


def test_a_renamed_model_keeps_its_versions(registry: FakeRegistry):
    registry.create_version("fraud")

    renamed = registry.rename_model(MODEL, "scam")

    assert [version.model.name for version in registry.versions(renamed)] == ["scam"]
    assert registry.versions(MODEL) == []


def test_a_later_metric_replaces_the_earlier_one(registry: FakeRegistry):
    version = registry.create_version("fraud", metrics={"auc": 0.8})

    registry.log_metrics(version, {"auc": None})

    assert [metric.value for metric in registry.evidence(version).metrics] == [None]


def test_replicas_serve_what_they_reload_and_refuse_an_older_generation():
    fleet = FakeFleet()
    replica = fleet.add(MODEL, "1", generation=5)

    (fresh,) = fleet.reload([replica], "2", 6, timeout_seconds=1)
    (stale,) = fleet.reload([replica], "1", 5, timeout_seconds=1)

    assert (fresh.ok, fresh.version, fresh.generation) == (True, "2", 6)
    assert (stale.ok, stale.refused, stale.version) == (False, True, "2")


def test_preparing_changes_nothing_that_is_served():
    fleet = FakeFleet()
    replica = fleet.add(MODEL, "1")

    (answer,) = fleet.prepare([replica], "2", 1, timeout_seconds=1)

    assert (answer.ok, fleet.serving()) == (True, {"replica-1": "1"})


def test_a_lost_replica_answers_nothing_and_a_refusing_one_says_why():
    fleet = FakeFleet()
    lost, refusing = fleet.add(MODEL, "1"), fleet.add(MODEL, "1")
    fleet.lose(lost)
    fleet.refuse(refusing, "2", "out of memory")

    answers = fleet.reload(fleet.replicas(MODEL), "2", 1, timeout_seconds=1)

    assert [(a.ok, a.refused) for a in answers] == [(False, False), (False, True)]
    assert answers[1].error == "out of memory"


def test_an_effect_is_new_then_unknown_then_done():
    ledger = FakeLedger()

    states = [ledger.begin_effect("mail", "email", {}), ledger.begin_effect("mail", "email", {})]
    ledger.finish_effect("mail", "250")
    states.append(ledger.begin_effect("mail", "email", {}))

    assert states == ["new", "unknown", "done"]


def test_an_intent_is_remembered():
    ledger = FakeLedger()
    intent = Intent(MODEL, "", "alias:champion", "2")

    assert ledger.begun() == []
    ledger.intend([intent])
    assert [known for known, _ in ledger.begun()] == [intent]


def test_a_look_keeps_the_revision_from_before_the_read(clock: FixedClock):
    history = FakeHistory(clock)
    history.know(MODEL, "", "champion", "1")
    look = history.look(MODEL)

    history.know(MODEL, "", "champion", "2")

    assert look.value("", "champion") == "1"
    assert look.reading("", "champion", "1").revision == 1
    assert history.look(MODEL).reading("", "champion", "2").revision == 2
