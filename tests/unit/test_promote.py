"""Promotion: decided on the registry's present, prepared, written once, read back."""

from datetime import timedelta
from typing import Any

import pytest

from handlers.promote import promote
from handlers.validate import validate
from steward.errors import TransientError
from steward.events import Event, EventType, NewEvent
from steward.policy import Mode
from steward.ports import Done, Intent, Outcome, Skipped, Verdict, VersionInfo, Wait
from tests.unit.world import MODEL, World, make_policy


def run(w: World, version: str) -> Outcome:
    return w.run(promote, w.event(EventType.VALIDATED, version))


def only_event(outcome: Outcome) -> NewEvent:
    assert isinstance(outcome, Done), outcome
    (event,) = outcome.events
    return event


def challenge(w: World, auc: float | None = 0.95) -> VersionInfo:
    """Production has 0.9; the candidate is the next version."""
    w.register_champion(0.9)
    info = w.register(auc)
    w.registry.requests.clear()
    return info


def test_the_better_version_becomes_production_and_the_old_one_is_archived():
    w = World()
    candidate = challenge(w)

    event = only_event(run(w, candidate.version))

    assert event.type == EventType.PROMOTED
    assert (event.before, event.after) == ("1", "2")
    assert w.stages() == {"1": "Archived", "2": "Production"}
    assert w.aliases() == {"champion": "2", "previous_champion": "1"}


def test_a_promotion_tells_both_numbers_and_how_to_undo_it():
    w = World()
    candidate = challenge(w)
    w.fleet.add(MODEL, "1", 1)

    told = only_event(run(w, candidate.version)).data

    assert (told["verdict"], told["code"]) == ("promoted", "beats_production")
    assert (told["candidate"]["version"], told["candidate"]["value"]) == ("2", "0.95")
    assert (told["champion"]["version"], told["champion"]["value"]) == ("1", "0.9")
    assert (told["margin"], told["gain"], told["metric"]) == ("0.02", "0.05", "auc")
    assert told["next"] == ["To go back: steward rollback fraud"]
    assert told["prepared"][0]["ok"] is True
    assert told["prepared"][0]["seconds"] == 0.01


def test_what_was_read_back_is_recorded():
    w = World()
    candidate = challenge(w)

    outcome = run(w, candidate.version)

    assert isinstance(outcome, Done)
    assert {(r.subject, r.facet, r.value) for r in outcome.readings} == {
        ("", "champion", "2"),
        ("2", "stage", "Production"),
        ("1", "stage", "Archived"),
        ("", "alias:champion", "2"),
        ("", "alias:previous_champion", "1"),
    }


def test_every_write_was_intended_before_the_first():
    w = World()
    candidate = challenge(w)
    intended: list[int] = []
    w.registry.after = lambda _method: intended.append(len(w.ledger.intents))

    run(w, candidate.version)

    assert set(w.ledger.intents) == {
        Intent(MODEL, "2", "stage", "Production"),
        Intent(MODEL, "1", "stage", "Archived"),
        Intent(MODEL, "", "alias:champion", "2"),
        Intent(MODEL, "", "alias:previous_champion", "1"),
    }
    assert intended == [4, 4, 4]


def test_validate_and_promote_cost_at_most_sixteen_requests():
    w = World()
    candidate = challenge(w)

    w.run(validate, w.event(EventType.VERSION_CREATED, candidate.version))
    run(w, candidate.version)

    # One call for evidence is two requests to MLflow: the run and the logged model.
    requests = w.registry.requests.total() + w.registry.requests["evidence"]
    assert requests <= 16, w.registry.requests


def test_the_first_version_is_promoted_without_a_comparison():
    w = World()
    w.register(0.9)

    event = only_event(run(w, "1"))

    assert (event.type, event.data["code"]) == (EventType.PROMOTED, "no_production")
    assert event.data["champion"] is None
    assert w.aliases() == {"champion": "1"}


def test_a_version_that_is_not_better_by_the_margin_is_held():
    w = World()
    candidate = challenge(w, 0.91)

    event = only_event(run(w, candidate.version))

    assert (event.type, event.data["code"]) == (EventType.HELD, "below_margin")
    assert event.data["champion"]["version"] == "1"
    assert w.stages() == {"1": "Production"}


def test_a_past_production_that_a_newer_version_replaced_keeps_its_verdict():
    w = World()
    candidate = challenge(w)
    w.history.past_champions[MODEL] = ["2", "1"]
    w.history.verdicts[MODEL, "1"] = Verdict("promoted")
    w.registry.set_stage(MODEL, candidate.version, "Production", archive_existing=True)

    outcome = run(w, "1")

    assert outcome == Skipped("version 1 was Production before version 2")


def test_a_past_production_that_nobody_had_judged_is_held():
    """A person made it Production, and another after it, before Steward came to decide."""
    w = World()
    candidate = challenge(w)
    w.history.past_champions[MODEL] = ["2", "1"]
    w.registry.set_stage(MODEL, candidate.version, "Production", archive_existing=True)

    event = only_event(run(w, "1"))

    assert (event.type, event.data["code"]) == (EventType.HELD, "older_than_production")


def test_a_nan_is_rejected():
    w = World()
    candidate = challenge(w, None)

    event = only_event(run(w, candidate.version))

    assert (event.type, event.data["code"]) == (EventType.REJECTED, "metric_invalid")


def test_production_is_not_promoted_again():
    w = World()
    w.register_champion(0.9)

    assert run(w, "1") == Skipped("version 1 is Production already")


def test_a_version_or_a_model_that_is_gone_is_skipped():
    w = World()
    candidate = challenge(w)
    w.registry.delete_version(MODEL, candidate.version)
    assert isinstance(run(w, candidate.version), Skipped)

    w.registry.delete_model(MODEL)

    assert isinstance(run(w, candidate.version), Skipped)


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_without_leave_to_act_it_says_what_it_would_do(mode: Mode):
    w = World(mode=mode)
    candidate = challenge(w)

    told = only_event(run(w, candidate.version))

    assert told.type == EventType.HELD
    assert (told.data["code"], told.data["would"]) == (mode.value, "promoted")
    assert told.data["reasons"][0].startswith("would be promoted: test_auc 0.95 against")
    assert told.data["reasons"][0].endswith(f"mode is {mode}")
    assert w.stages() == {"1": "Production"}
    assert w.fleet.calls == []


def test_without_leave_to_act_a_plain_hold_stays_one():
    w = World(mode=Mode.OBSERVE)
    candidate = challenge(w, 0.9)

    told = only_event(run(w, candidate.version)).data

    assert told["code"] == "below_margin"
    assert "would" not in told


def test_a_paused_model_waits():
    w = World()
    candidate = challenge(w)
    w.history.pauses[MODEL] = "paused by ada: audit"

    assert run(w, candidate.version) == Wait(
        w.clock.now() + timedelta(days=30),
        "paused by ada: audit",
        check_seconds=3600,
        then=("annotate",),
        is_pause=True,
    )


def test_a_validation_that_was_overtaken_by_a_rejection_promotes_nothing():
    w = World()
    candidate = challenge(w)
    event = w.event(EventType.VALIDATED, candidate.version)
    later = w.clock.advance(1)
    w.history.verdicts[MODEL, candidate.version] = Verdict("rejected", at=later)

    assert w.run(promote, event) == Skipped("rejected since")


# --- replicas first ------------------------------------------------------------------------------


def test_replicas_prepare_the_next_generation_before_anything_is_written():
    w = World()
    candidate = challenge(w)
    w.history.next_generation(MODEL, "1", w.event(EventType.CHAMPION_CHANGED))
    w.fleet.add(MODEL, "1", 1)
    prepared: list[int] = []
    w.registry.after = lambda _method: prepared.append(len(w.fleet.calls))

    run(w, candidate.version)

    assert w.fleet.calls == [("prepare", "replica-1", "2", 2)]
    assert prepared[0] == 1


def test_a_version_that_a_replica_refuses_is_held_with_its_error():
    w = World()
    candidate = challenge(w)
    w.fleet.add(MODEL, "1")
    w.fleet.refuse(w.fleet.add(MODEL, "1"), candidate.version, "no module named xgboost")

    told = only_event(run(w, candidate.version))

    assert (told.type, told.data["code"]) == (EventType.HELD, "not_servable")
    assert told.data["reasons"][0] == (
        "1 of 2 replicas could not prepare version 2 (100% of them must): replica-2 at "
        "http://replica-2 refused: no module named xgboost"
    )
    assert w.stages() == {"1": "Production"}
    assert w.ledger.intents == []


def test_enough_prepared_replicas_are_enough():
    w = World(make_policy(reload={"min_prepared": 0.5, "timeout_seconds": 1}))
    candidate = challenge(w)
    w.fleet.add(MODEL, "1")
    w.fleet.refuse(w.fleet.add(MODEL, "1"), candidate.version, "broken")

    assert only_event(run(w, candidate.version)).type == EventType.PROMOTED


def test_a_replica_that_cannot_be_reached_may_be_gone_a_moment_later():
    w = World()
    candidate = challenge(w)
    w.fleet.lose(w.fleet.add(MODEL, "1"))

    with pytest.raises(TransientError, match="replica-1 at http://replica-1 could not be reached"):
        run(w, candidate.version)

    w.failures = 3
    assert only_event(run(w, candidate.version)).data["code"] == "not_servable"


# --- others write too ----------------------------------------------------------------------------


class PreparingTo:
    """A fleet during whose preparation somebody does something, so many times."""

    def __init__(self, w: World, act: Any, times: int) -> None:
        self._replicas, self._prepare = w.fleet.replicas, w.fleet.prepare
        self._act, self._left = act, times

    def replicas(self, model: Any) -> Any:
        return self._replicas(model)

    def prepare(self, *args: Any, **more: Any) -> Any:
        if self._left:
            self._left -= 1
            self._act()
        return self._prepare(*args, **more)


def test_production_that_changed_meanwhile_is_compared_with_anew():
    w = World()
    candidate = challenge(w)
    w.fleet.add(MODEL, "1")
    better = w.register(0.94)

    def someone_promotes() -> None:
        w.registry.set_stage(MODEL, better.version, "Production", archive_existing=True)

    w.fleet = PreparingTo(w, someone_promotes, 1)  # type: ignore[assignment]
    told = only_event(run(w, candidate.version))

    assert told.type == EventType.HELD
    assert told.data["champion"]["version"] == better.version


def test_production_that_keeps_changing_is_left_for_later():
    w = World()
    w.register_champion(0.8)
    w.register(0.81)
    candidate = w.register(0.95)
    w.fleet.add(MODEL, "1")
    numbers = iter(["2", "1"])

    def someone_else() -> None:
        w.registry.set_stage(MODEL, next(numbers), "Production", archive_existing=True)

    w.fleet = PreparingTo(w, someone_else, 2)  # type: ignore[assignment]
    with pytest.raises(TransientError, match="changed twice"):
        run(w, candidate.version)


def test_another_writer_at_the_same_moment_is_noticed_when_reading_back():
    w = World()
    candidate = challenge(w)

    def someone_else(method: str) -> None:
        w.registry.after = None
        assert method == "set_stage"
        w.registry.set_stage(MODEL, "1", "Production", archive_existing=False)

    w.registry.after = someone_else
    with pytest.raises(TransientError, match="read back was 1 and 2"):
        run(w, candidate.version)


# --- crashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes_before", [1, 2, 3])
def test_a_crash_between_writes_is_taken_up_where_it_stopped(writes_before: int):
    w = World()
    candidate = challenge(w)
    event = w.event(EventType.VALIDATED, candidate.version)
    left = [writes_before]

    def crash(_method: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    w.registry.after = crash
    with pytest.raises(KeyboardInterrupt):
        w.run(promote, event)
    w.registry.after = None
    w.registry.requests.clear()

    told = only_event(w.run(promote, event))

    assert (told.type, told.before, told.after) == (EventType.PROMOTED, "1", "2")
    assert told.data["champion"]["version"] == "1"
    assert w.stages() == {"1": "Archived", "2": "Production"}
    assert w.aliases() == {"champion": "2", "previous_champion": "1"}
    writes = w.registry.requests["set_stage"] + w.registry.requests["set_alias"]
    assert writes == 3 - writes_before


def test_a_crash_before_the_first_write_is_a_fresh_start():
    w = World()
    candidate = challenge(w)
    event = w.event(EventType.VALIDATED, candidate.version)
    w.ledger.intend([Intent(MODEL, candidate.version, "stage", "Production")])

    assert only_event(w.run(promote, event)).type == EventType.PROMOTED


def test_a_crash_after_the_champion_was_read_by_somebody_else_still_names_the_one_before():
    w = World()
    candidate = challenge(w)
    event = w.event(EventType.VALIDATED, candidate.version)
    w.ledger.intend(
        [
            Intent(MODEL, candidate.version, "stage", "Production"),
            Intent(MODEL, "", "alias:previous_champion", "1"),
        ]
    )
    w.registry.set_stage(MODEL, candidate.version, "Production", archive_existing=True)
    w.know_champion(candidate.version)

    assert only_event(w.run(promote, event)).before == "1"


def test_a_promotion_that_a_person_passed_before_its_first_write_is_judged_anew():
    w = World()
    candidate = challenge(w)
    event = w.event(EventType.VALIDATED, candidate.version)
    w.ledger.intend([Intent(MODEL, candidate.version, "stage", "Production")])
    w.register(0.99)
    w.registry.set_stage(MODEL, "3", "Production", archive_existing=True)
    w.know_champion("3")
    w.event(EventType.CHAMPION_CHANGED, "3", before="1", after="3")

    told = only_event(w.run(promote, event))

    assert (told.type, told.data["code"]) == (EventType.HELD, "older_than_production")


def test_a_promotion_by_another_is_not_told_twice_where_it_stands():
    w = World()
    candidate = challenge(w)
    event = w.event(EventType.VALIDATED, candidate.version)
    w.ledger.intend([Intent(MODEL, candidate.version, "stage", "Production")])
    w.clock.advance(3600)
    w.registry.set_stage(MODEL, "2", "Production", archive_existing=True)
    w.know_champion("2")
    w.event(EventType.PROMOTED, "2", before="1", after="2")  # by another dispatch

    assert isinstance(w.run(promote, event), Skipped)


def stopped_halfway(w: World) -> Event:
    """A promotion of version 2 that met a failure after its first write."""
    event = w.event(EventType.VALIDATED, challenge(w).version)
    w.stop_halfway(promote, event)
    return event


def test_a_promotion_that_stopped_halfway_is_finished_in_a_pause():
    w = World()
    event = stopped_halfway(w)
    w.history.pauses[MODEL] = "paused by ada: audit"

    told = only_event(w.run(promote, event))

    assert (told.type, told.before, told.after) == (EventType.PROMOTED, "1", "2")
    assert w.aliases() == {"champion": "2", "previous_champion": "1"}


def test_a_promotion_that_wrote_nothing_waits_in_a_pause():
    w = World()
    event = w.event(EventType.VALIDATED, challenge(w).version)
    w.ledger.intend([Intent(MODEL, "2", "stage", "Production")])
    w.history.pauses[MODEL] = "paused by ada: audit"

    assert isinstance(w.run(promote, event), Wait)


def test_what_a_person_archived_after_a_promotion_stopped_halfway_is_not_put_back():
    w = World()
    event = stopped_halfway(w)
    w.registry.set_alias(MODEL, "champion", "2")
    w.registry.set_stage(MODEL, "2", "Archived", archive_existing=False)

    assert isinstance(w.run(promote, event), Skipped)
    assert w.stages()["2"] == "Archived"


def test_a_promotion_is_finished_though_the_version_was_rejected_halfway():
    w = World()
    event = stopped_halfway(w)
    later = w.clock.advance(1)
    w.history.verdicts[MODEL, "2"] = Verdict("rejected", at=later)
    w.history.rejected[MODEL] = {"2"}

    told = only_event(w.run(promote, event))

    assert (told.type, told.after, told.data["code"]) == (EventType.PROMOTED, "2", "begun")
    assert told.data["reasons"][0] == "it was made Production before this could be known"
    assert w.aliases()["champion"] == "2", "a mirror that lags would mislead everybody"


# --- what the policy calls Production ------------------------------------------------------------


def test_the_alias_is_moved_first_where_it_is_the_truth():
    w = World(make_policy(production={"alias": "live", "mirror_stage": "Production"}))
    w.register(0.9)
    w.registry.set_alias(MODEL, "live", "1")
    w.registry.set_stage(MODEL, "1", "Production", archive_existing=True)
    w.know_champion("1")
    w.register(0.95)
    methods: list[str] = []
    w.registry.after = methods.append

    run(w, "2")

    assert methods == ["set_alias", "set_stage", "set_alias"]
    assert w.stages() == {"1": "Archived", "2": "Production"}
    assert w.aliases() == {"live": "2", "previous_champion": "1"}


def test_stages_are_left_alone_where_the_policy_names_none():
    w = World(make_policy(production={"alias": "champion"}))
    w.register(0.9)

    run(w, "1")

    assert (w.stages(), w.aliases()) == ({}, {"champion": "1"})


def test_a_previous_version_that_is_not_archived_leaves_the_stage_all_the_same():
    w = World(make_policy(production={"stage": "Production", "archive_previous": False}))
    candidate = challenge(w)
    seen: list[list[str]] = []

    def look(_method: str) -> None:
        stages = w.stages()
        seen.append([version for version, stage in stages.items() if stage == "Production"])

    w.registry.after = look
    run(w, candidate.version)

    assert w.stages() == {"2": "Production"}
    assert all(in_production == ["2"] for in_production in seen)


def test_a_champion_that_only_the_mirror_names_is_compared_with():
    w = World()
    w.register(0.94)
    w.registry.set_alias(MODEL, "champion", "1")
    w.register(0.95)

    told = only_event(run(w, "2"))

    assert told.data["code"] == "below_margin"
    assert told.data["champion"]["version"] == "1"


def test_an_unclear_production_is_held_with_the_line_for_the_policy():
    w = World()
    w.register(0.9)
    w.registry.set_alias(MODEL, "prod", "1")
    w.register(0.95)

    told = only_event(run(w, "2")).data

    assert told["code"] == "production_unclear"
    assert "`production: {alias: prod}`" in told["reasons"][0]


def test_a_promotion_during_which_the_old_version_is_deleted_is_finished():
    w = World()
    candidate = challenge(w)
    validated = w.event(EventType.VALIDATED, candidate.version)

    def delete_the_old(write: str) -> None:
        w.registry.after = None
        w.registry.delete_version(MODEL, "1")

    w.registry.after = delete_the_old
    with pytest.raises(TransientError, match="deleted while it was promoted"):
        w.run(promote, validated)

    event = only_event(w.run(promote, validated))
    assert (event.type, event.after) == (EventType.PROMOTED, "2")
    assert w.stages() == {"2": "Production"}
    assert w.aliases() == {"champion": "2"}


def test_a_fleet_that_just_fell_silent_is_not_taken_for_none():
    w = World()
    w.register_champion(auc=0.90)
    version = w.register(auc=0.95).version
    w.fleet.silent = ["fraud-1"]

    with pytest.raises(TransientError, match="lately there were fraud-1"):
        w.run(promote, w.event(EventType.VALIDATED, version))

    assert w.stages().get(version) is None
