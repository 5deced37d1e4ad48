"""Reading who is Production after somebody moved a stage or an alias by hand."""

from typing import Any

import pytest

from handlers.confirm import confirm
from steward.events import Event, EventType
from steward.policy import Mode
from steward.ports import Done, Intent, Outcome, Skipped
from tests.unit.world import MODEL, World, make_policy

ALIAS_TRUTH = make_policy(production={"alias": "champion", "mirror_stage": "Production"})


def two_versions(w: World) -> World:
    """Version 1 is Production by stage and alias; version 2 is not."""
    w.register_champion(0.9)
    w.register(0.95)
    return w


def stage_moved(w: World, version: str, before: str = "None", after: str = "Production") -> Event:
    return w.event(EventType.VERSION_TRANSITIONED, version, before=before, after=after)


def alias_moved(w: World, version: str, before: str | None, **data: str) -> Event:
    told = data or {"alias": "champion"}
    return w.event(EventType.ALIAS_CREATED, version, before=before, after=version, data=told)


def champion_read(outcome: Outcome) -> Any:
    assert isinstance(outcome, Done), outcome
    return [r.value for r in outcome.readings if r.facet == "champion"]


def violation(outcome: Outcome) -> Any:
    assert isinstance(outcome, Done), outcome
    (event,) = outcome.events
    assert event.type == EventType.POLICY_VIOLATED
    return event.data["violation"], event.data["detail"]


def test_nothing_is_written_where_stage_and_alias_agree():
    w = two_versions(World())

    outcome = w.run(confirm, stage_moved(w, "2", after="Staging"))

    assert champion_read(outcome) == ["1"]
    assert w.ledger.intents == []
    assert w.registry.requests == {"model": 1, "versions": 1}


@pytest.mark.parametrize("moved", ["truth", "mirror"])
def test_when_a_pause_ends_the_mirror_follows_the_truth_whichever_was_moved(moved: str):
    w = two_versions(World())
    production = "1"
    if moved == "truth":
        w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)
        w.know_champion("2")  # read in the pause, and nothing was written
        production = "2"
    else:
        w.registry.set_alias(MODEL, "champion", "2")

    outcome = w.run(confirm, w.event(EventType.AUTOMATION_RESUMED))

    assert champion_read(outcome) == [production]
    assert w.stages()[production] == "Production"
    assert w.aliases()["champion"] == production
    assert isinstance(outcome, Done)
    assert outcome.note.startswith("the mirror follows Production again")


def test_the_alias_follows_a_stage_moved_by_hand():
    w = two_versions(World())
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)

    outcome = w.run(confirm, stage_moved(w, "2"))

    assert champion_read(outcome) == ["2"]
    assert w.aliases() == {"champion": "2", "previous_champion": "1"}
    assert Intent(MODEL, "", "alias:champion", "2") in w.ledger.intents
    assert isinstance(outcome, Done)
    assert outcome.events == ()  # the reading itself becomes champion_changed


@pytest.mark.parametrize("data", [{"alias": "champion"}, {"key": "champion"}])
def test_the_stage_follows_an_alias_moved_by_hand(data: dict[str, str]):
    w = two_versions(World())
    w.registry.set_alias(MODEL, "champion", "2")

    outcome = w.run(confirm, alias_moved(w, "2", "1", **data))

    assert champion_read(outcome) == ["2"]
    assert w.stages() == {"1": "Archived", "2": "Production"}


def test_the_first_alias_on_an_empty_model_makes_production():
    w = World()
    w.register(0.9)
    w.registry.set_alias(MODEL, "champion", "1")

    outcome = w.run(confirm, alias_moved(w, "1", None))

    assert champion_read(outcome) == ["1"]
    assert w.stages() == {"1": "Production"}


def test_the_stage_follows_the_alias_where_that_is_the_truth():
    w = two_versions(World(ALIAS_TRUTH))
    w.registry.set_alias(MODEL, "champion", "2")

    outcome = w.run(confirm, alias_moved(w, "2", "1"))

    assert champion_read(outcome) == ["2"]
    assert w.stages() == {"1": "Archived", "2": "Production"}


def test_the_alias_follows_the_mirrored_stage_too():
    w = two_versions(World(ALIAS_TRUTH))
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)

    outcome = w.run(confirm, stage_moved(w, "2"))

    assert champion_read(outcome) == ["2"]
    assert w.aliases()["champion"] == "2"


def test_production_emptied_by_hand_clears_the_alias():
    w = two_versions(World())
    w.registry.set_stage(MODEL, "1", "Archived", archive_existing=False)

    outcome = w.run(confirm, stage_moved(w, "1", "Production", "Archived"))

    assert champion_read(outcome) == [None]
    assert w.aliases() == {}
    assert w.ledger.intents == [Intent(MODEL, "", "alias:champion", None)]


def test_an_alias_truth_taken_away_empties_the_mirrored_stage():
    w = two_versions(World(ALIAS_TRUTH))
    w.registry.delete_alias(MODEL, "champion")
    gone = w.event(EventType.ALIAS_DELETED, "1", before="1", data={"alias": "champion"})

    outcome = w.run(confirm, gone)

    assert champion_read(outcome) == [None]
    assert w.stages() == {"1": "Archived"}


def test_deleting_the_champion_leaves_no_production():
    w = two_versions(World())
    w.registry.delete_version(MODEL, "1")

    outcome = w.run(confirm, w.event(EventType.VERSION_DELETED, "1"))

    assert champion_read(outcome) == [None]


def test_a_mirror_that_never_agreed_is_told_not_followed():
    w = two_versions(World())
    w.registry.set_alias(MODEL, "champion", "2")

    outcome = w.run(confirm, alias_moved(w, "2", None))

    assert violation(outcome) == (
        "mirror_differs",
        "stage Production has version 1, its mirror has version 2, and Production was version 1",
    )
    assert champion_read(outcome) == ["1"]
    assert w.stages() == {"1": "Production"}
    assert w.ledger.intents == []


def test_an_alias_taken_away_demotes_nothing():
    w = two_versions(World())
    w.registry.delete_alias(MODEL, "champion")
    gone = w.event(EventType.ALIAS_DELETED, "1", before="1", data={"alias": "champion"})

    outcome = w.run(confirm, gone)

    assert violation(outcome)[0] == "mirror_differs"
    assert champion_read(outcome) == ["1"]


def test_both_moved_to_different_versions_is_told():
    w = two_versions(World())
    w.register(0.96)
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)
    w.registry.set_alias(MODEL, "champion", "3")

    outcome = w.run(confirm, stage_moved(w, "2"))

    assert violation(outcome)[0] == "mirror_differs"
    assert champion_read(outcome) == ["2"]  # the truth is the truth
    assert w.aliases() == {"champion": "3"}


def test_a_mirror_that_lags_from_long_ago_is_not_told_at_every_news():
    w = two_versions(World())
    w.registry.set_alias(MODEL, "champion", "2")

    outcome = w.run(confirm, stage_moved(w, "2", after="Staging"))

    assert isinstance(outcome, Done)
    assert (outcome.events, champion_read(outcome)) == ((), ["1"])


def test_a_champion_that_only_the_mirror_names_is_not_taken_down_by_other_news():
    w = World()
    w.register(0.9)
    w.register(0.91)
    w.registry.set_alias(MODEL, "champion", "1")
    w.know_champion("1")

    outcome = w.run(confirm, stage_moved(w, "2", after="Staging"))

    assert champion_read(outcome) == ["1"]
    assert w.aliases() == {"champion": "1"}


def test_two_in_production_are_told_and_the_champion_stays_what_it_was():
    w = two_versions(World())
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=False)

    outcome = w.run(confirm, stage_moved(w, "2"))

    assert violation(outcome)[0] == "two_in_production"
    assert champion_read(outcome) == []
    assert w.stages() == {"1": "Production", "2": "Production"}


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_without_leave_to_act_the_truth_is_only_read(mode: Mode):
    w = two_versions(World(mode=mode))
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)

    outcome = w.run(confirm, stage_moved(w, "2"))

    assert champion_read(outcome) == ["2"]
    assert w.aliases() == {"champion": "1"}


def test_observing_tells_of_no_violation():
    w = two_versions(World(mode=Mode.OBSERVE))
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=False)

    outcome = w.run(confirm, stage_moved(w, "2"))

    assert isinstance(outcome, Done)
    assert outcome.events == ()


def test_a_paused_model_is_only_read():
    w = two_versions(World())
    w.history.pauses[None] = "paused by ada: audit"
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)

    assert champion_read(w.run(confirm, stage_moved(w, "2"))) == ["2"]
    assert w.aliases() == {"champion": "1"}


def test_a_model_that_is_gone_is_skipped():
    w = two_versions(World())
    event = stage_moved(w, "1")
    w.registry.delete_model(MODEL)

    assert w.run(confirm, event) == Skipped("the model was deleted")


def test_a_promotion_that_died_after_its_write_is_confirmed_and_nothing_else_that_dies():
    w = World()
    version = w.register_champion().version
    died = w.event(EventType.DISPATCH_DIED, version, data={"handler": "promote"})
    other = w.event(EventType.DISPATCH_DIED, version, data={"handler": "confirm"})

    confirmed = w.run(confirm, died)
    skipped = w.run(confirm, other)

    assert isinstance(confirmed, Done)
    assert [reading.facet for reading in confirmed.readings] == ["champion"]
    assert skipped == Skipped("confirm writes no Production")
