"""previous_champion and the challenger's alias: kept true, whoever moves what."""

import pytest

from handlers import ROUTES
from handlers.annotate import annotate
from handlers.confirm import confirm
from steward.errors import ConfigurationError, PermanentError
from steward.events import Event, EventType
from steward.policy import Mode, PolicySet
from steward.ports import Done, Intent, Outcome, Skipped, Verdict
from tests.unit.world import MODEL, World, make_policy

PLACES = {"stage": "Production", "mirror_alias": "champion"}


def world(**production: str) -> World:
    return World(policy=make_policy(production={**PLACES, **production}))


def challenged() -> World:
    """Version 1 is Production; the policy keeps the alias challenger."""
    w = world(challenger_alias="challenger")
    w.register_champion(0.9)
    return w


def judged(w: World, verdict: str) -> str:
    """The next version, and where it stands."""
    version = w.register(0.91).version
    w.history.verdicts[MODEL, version] = Verdict(verdict, ("so",))
    return version


def annotated(w: World, version: str) -> Outcome:
    return w.run(annotate, w.event(EventType.HELD, version))


def alias_moved(w: World, alias: str, version: str) -> Event:
    """Somebody pointed an alias at a version by hand."""
    w.registry.set_alias(MODEL, alias, version)
    told = {"alias": alias}
    return w.event(EventType.ALIAS_CREATED, version, before=None, after=version, data=told)


@pytest.mark.parametrize("verdict", ["held", "waiting", "awaiting_approval"])
def test_a_version_under_judgement_is_the_challenger(verdict: str):
    w = challenged()

    annotated(w, judged(w, verdict))

    assert w.aliases() == {"champion": "1", "challenger": "2"}
    assert Intent(MODEL, "", "alias:challenger", "2") in w.ledger.intents


def test_nobody_asked_for_it_and_nothing_is_kept():
    w = world()
    w.register_champion(0.9)

    annotated(w, judged(w, "held"))

    assert w.aliases() == {"champion": "1"}
    assert w.registry.requests["versions"] == 0


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_only_mode_act_moves_it(mode: Mode):
    w = challenged()
    w.mode = mode

    annotated(w, judged(w, "held"))

    assert "challenger" not in w.aliases()


def test_a_pause_leaves_it_alone():
    w = challenged()
    w.history.pauses[None] = "paused by ann"

    annotated(w, judged(w, "held"))

    assert "challenger" not in w.aliases()


def test_what_a_pause_held_back_is_put_right_with_the_next_verdict():
    w = challenged()
    first = judged(w, "held")
    annotated(w, first)
    w.history.verdicts[MODEL, first] = Verdict("rejected", ("so",))
    w.history.pauses[None] = "paused by ann"
    annotated(w, first)
    w.history.pauses.clear()

    annotated(w, judged(w, "rejected"))

    assert w.aliases() == {"champion": "1"}


def test_the_end_of_a_pause_puts_right_what_it_left():
    w = challenged()
    w.history.pauses[MODEL] = "paused by ann"
    annotated(w, judged(w, "held"))
    w.history.pauses.clear()

    w.run(confirm, w.event(EventType.AUTOMATION_RESUMED))

    assert ROUTES[EventType.AUTOMATION_RESUMED] == ("confirm",)
    assert w.aliases() == {"champion": "1", "challenger": "2"}


def test_an_event_that_was_overtaken_still_looks_after_the_challenger():
    w = challenged()
    version = judged(w, "held")
    annotated(w, version)
    overtaken = w.event(EventType.REJECTED, version)
    later = w.event(EventType.REJECTED, version)  # its handler crashed before the alias
    w.history.verdicts[MODEL, version] = Verdict("rejected", ("so",), event_id=later.id)

    outcome = w.run(annotate, overtaken)

    assert w.aliases() == {"champion": "1"}
    assert outcome == Done(
        note="a later event brought its own tags; there is no challenger any more"
    )
    assert w.run(annotate, overtaken) == Skipped("a later event brought its own tags")


def test_the_newest_under_judgement_counts():
    w = challenged()
    older, newer = judged(w, "held"), judged(w, "held")

    annotated(w, older)

    assert w.aliases()["challenger"] == newer


def test_a_rejected_or_archived_one_is_passed_over():
    w = challenged()
    held, archived, rejected = judged(w, "held"), judged(w, "held"), judged(w, "rejected")
    w.registry.set_stage(MODEL, archived, "Archived", archive_existing=False)

    annotated(w, rejected)

    assert w.aliases()["challenger"] == held


def test_however_many_newer_ones_were_rejected():
    w = challenged()
    asked = judged(w, "awaiting_approval")
    for _ in range(60):
        rejected = judged(w, "rejected")

    annotated(w, rejected)

    assert w.aliases()["challenger"] == asked


@pytest.mark.parametrize("verdict", ["rejected", "promoted"])
def test_without_any_the_alias_is_taken_away(verdict: str):
    w = challenged()
    version = judged(w, "held")
    annotated(w, version)
    w.history.verdicts[MODEL, version] = Verdict(verdict, ("so",))

    outcome = annotated(w, version)

    assert w.aliases() == {"champion": "1"}
    assert isinstance(outcome, Done)
    assert outcome.note.endswith("there is no challenger any more")


def test_one_that_is_older_than_production_is_none():
    w = world(challenger_alias="challenger")
    older = judged(w, "held")
    w.register_champion(0.95)

    annotated(w, older)

    assert "challenger" not in w.aliases()


def test_with_two_in_production_the_challenger_stays_where_it_is():
    w = world(challenger_alias="challenger")
    judged(w, "held")
    w.register_champion(0.9)
    second = judged(w, "rejected")
    w.registry.set_stage(MODEL, second, "Production", archive_existing=False)

    annotated(w, second)

    assert w.aliases() == {"champion": "2"}


def test_when_production_is_emptied_by_hand_the_newest_under_judgement_is_the_challenger():
    w = world(challenger_alias="challenger")
    held = judged(w, "held")
    w.register_champion(0.9)
    w.registry.set_stage(MODEL, "2", "Archived", archive_existing=False)

    emptied = w.event(EventType.VERSION_TRANSITIONED, "2", before="Production", after="Archived")
    outcome = w.run(confirm, emptied)

    assert w.aliases() == {"challenger": held}
    assert isinstance(outcome, Done)
    assert outcome.note == "Production was emptied by hand; kept true: alias:challenger"


def test_of_two_that_write_at_once_the_newest_stays():
    w = challenged()
    version = judged(w, "held")

    def another_comes(method: str) -> None:
        if method == "set_alias" and len(w.registry.versions(MODEL)) == 2:
            judged(w, "held")

    w.registry.after = another_comes
    annotated(w, version)

    assert w.aliases()["challenger"] == "3"


def test_a_challenger_moved_by_hand_is_put_back():
    w = challenged()
    judged(w, "rejected")
    held = judged(w, "held")

    outcome = w.run(confirm, alias_moved(w, "challenger", "2"))

    assert w.aliases()["challenger"] == held
    assert isinstance(outcome, Done)
    assert [(r.facet, r.value) for r in outcome.readings[1:]] == [("alias:challenger", held)]
    assert outcome.note == "kept true: alias:challenger"


def test_what_is_put_back_gives_way_to_a_newer_one_that_came_meanwhile():
    w = challenged()
    judged(w, "rejected")
    judged(w, "held")

    def another_comes(method: str) -> None:
        if method == "set_alias" and len(w.registry.versions(MODEL)) == 3:
            judged(w, "held")

    moved = alias_moved(w, "challenger", "2")
    w.registry.after = another_comes
    outcome = w.run(confirm, moved)

    assert w.aliases()["challenger"] == "4"
    assert isinstance(outcome, Done)
    assert [(r.facet, r.value) for r in outcome.readings[1:]] == [("alias:challenger", "4")]


def contested() -> tuple[World, list[Outcome]]:
    """A job moves the challenger's alias each time that it was put back."""
    w = challenged()
    judged(w, "rejected")
    judged(w, "held")
    return w, [w.run(confirm, alias_moved(w, "challenger", "2")) for _ in range(6)]


def test_an_alias_that_somebody_else_moves_each_time_is_left_alone_and_people_are_told_once():
    w, outcomes = contested()

    assert w.aliases()["challenger"] == "2"
    assert w.ledger.intents == [Intent(MODEL, "", "alias:challenger", "3")] * 3
    told = [event for each in outcomes if isinstance(each, Done) for event in each.events]
    assert [(event.type, event.data["violation"]) for event in told] == [
        (EventType.POLICY_VIOLATED, "alias_contested")
    ]
    assert told[0].data["detail"].startswith("alias challenger was moved and put back 3 times")
    assert told[0].data["next"].startswith("End what else moves it")


def test_after_an_hour_it_is_put_back_again():
    w, _ = contested()

    w.clock.advance(3600)
    w.run(confirm, alias_moved(w, "challenger", "2"))

    assert w.aliases()["challenger"] == "3"


def test_previous_champion_moved_by_hand_is_put_back():
    w = World()
    w.register_champion(0.9)
    w.register_champion(0.95)
    w.register(0.9)

    w.run(confirm, alias_moved(w, "previous_champion", "3"))

    assert w.aliases()["previous_champion"] == "1"


def test_what_concerns_neither_champion_does_not_look_up_the_past():
    w = World()
    w.register_champion(0.9)
    w.register_champion(0.95)

    blue = alias_moved(w, "blue", "1")
    staged = w.event(EventType.VERSION_TRANSITIONED, "1", before="None", after="Staging")
    for event in (blue, staged):
        w.run(confirm, event)

    assert "previous_champion" not in w.aliases()
    assert w.ledger.intents == []


def test_a_deleted_version_takes_previous_champion_along_and_it_goes_to_the_one_before():
    w = World()
    for auc in (0.85, 0.9, 0.95):
        w.register_champion(auc)
    w.registry.set_alias(MODEL, "previous_champion", "2")
    w.registry.delete_version(MODEL, "2")

    w.run(confirm, w.event(EventType.VERSION_DELETED, "2"))

    assert w.aliases()["previous_champion"] == "1"


def test_previous_champion_follows_a_hand_made_change_without_a_mirror():
    w = World(policy=make_policy(production={"stage": "Production"}))
    w.register(0.9)
    w.registry.set_stage(MODEL, "1", "Production", archive_existing=True)
    w.know_champion("1")
    w.register(0.95)
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)

    moved = w.event(EventType.VERSION_TRANSITIONED, "2", before="None", after="Production")
    w.run(confirm, moved)

    assert w.aliases() == {"previous_champion": "1"}


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_hand_made_aliases_stay_where_steward_may_not_write(mode: Mode):
    w = World()
    w.mode = mode
    w.register_champion(0.9)
    w.register_champion(0.95)

    w.run(confirm, alias_moved(w, "previous_champion", "2"))

    assert w.aliases()["previous_champion"] == "2"


def test_a_previous_champion_that_nobody_knows_is_left_alone():
    w = World()
    w.register_champion(0.9)
    w.register(0.8)

    w.run(confirm, alias_moved(w, "previous_champion", "2"))

    assert w.aliases()["previous_champion"] == "2"


def test_an_alias_that_may_not_be_written_does_not_keep_the_champion_from_being_read():
    w = World()
    w.register_champion(0.9)
    w.register(0.9)
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)
    w.registry.set_alias(MODEL, "champion", "2")
    w.registry.refused["set_alias"] = PermanentError("403: aliases are not yours")

    moved = w.event(EventType.VERSION_TRANSITIONED, "2", before="None", after="Production")
    outcome = w.run(confirm, moved)

    assert isinstance(outcome, Done)
    assert [(reading.facet, reading.value) for reading in outcome.readings] == [("champion", "2")]
    assert outcome.note == "the aliases beside it stay as they are: 403: aliases are not yours"


@pytest.mark.parametrize(
    ("places", "says"),
    [
        ("{stage: Production, mirror_alias: live, challenger_alias: live}", "needs another"),
        ("{stage: Production, challenger_alias: Live}", "Live is read as Production; a challenger"),
        ("{stage: Production, challenger_alias: previous_champion}", "is kept by Steward"),
        ("{stage: Production, challenger_alias: latest}", "cannot be an alias"),
    ],
)
def test_a_challenger_needs_an_alias_of_its_own(places: str, says: str):
    text = f"""version: 1
policies:
  - name: fraud
    match: {{models: ["*"]}}
    mode: act
    production: {places}
"""
    with pytest.raises(ConfigurationError, match=says):
        PolicySet.parse(text)
