"""Judging a version by its gates: passing, failing, waiting, and being judged again."""

from datetime import timedelta
from typing import Any

import pytest

from handlers.validate import validate
from steward.events import EventType, NewEvent
from steward.policy import Mode
from steward.ports import Done, Evidence, MetricValue, Outcome, Signature, Skipped, Verdict, Wait
from tests.unit.world import MODEL, World, make_policy


def world(**sections: Any) -> World:
    return World(make_policy(**sections))


def created(w: World, version: str) -> Outcome:
    return w.run(validate, w.event(EventType.VERSION_CREATED, version))


def only_event(outcome: Outcome) -> NewEvent:
    assert isinstance(outcome, Done), outcome
    (event,) = outcome.events
    return event


def test_a_version_that_passes_every_gate_is_validated_with_its_evidence():
    w = world(require={"metrics": {"auc": {"min": "0.85"}}, "lineage": ["git_commit"]})
    info = w.register(0.91, lineage={"git_commit": "abc"}, dataset="holdout")

    event = only_event(created(w, info.version))

    assert event.type == EventType.VALIDATED
    assert event.data["metrics"]["auc"] == {
        "name": "test_auc",
        "value": "0.91",
        "dataset": "holdout",
        "origin": "run",
        "subject": "run-fraud-1",
    }
    assert event.data["gates"][0] == {
        "name": "metric auc",
        "status": "pass",
        "detail": "test_auc 0.91 is at least 0.85",
    }
    assert event.data["run_id"] == "run-fraud-1"
    assert event.data["lineage"]["git_commit"] == "abc"
    assert event.data["policy"] == "fraud@000000000000"


def test_a_version_below_the_minimum_is_rejected_at_once():
    w = world(require={"metrics": {"auc": {"min": "0.85"}}, "required_tags": ["data_version"]})
    info = w.register(0.84)

    event = only_event(created(w, info.version))

    assert event.type == EventType.REJECTED
    assert (event.data["verdict"], event.data["code"]) == ("rejected", "below_minimum")
    assert event.data["reasons"] == ["test_auc 0.84 is below the minimum of 0.85"]
    assert event.data["candidate"]["value"] == "0.84"


def test_nan_is_rejected_and_never_passes():
    w = world()
    info = w.register(None)

    assert only_event(created(w, info.version)).data["code"] == "metric_invalid"


def test_what_is_missing_is_waited_for_until_the_deadline():
    w = world(require={"metrics": {"auc": {"min": "0.85"}}, "required_tags": ["data_version"]})
    info = w.registry.create_version("fraud", metrics={"auc_test": 0.92})

    outcome = created(w, info.version)

    assert outcome == Wait(
        w.clock.now() + timedelta(hours=1),
        "waiting for test_auc or roc_auc, tag data_version until 13:00 UTC",
        then=("annotate",),
    )


def test_what_arrives_in_time_ends_the_wait():
    w = world()
    info = w.registry.create_version("fraud")
    event = w.event(EventType.VERSION_CREATED, info.version)
    assert isinstance(w.run(validate, event), Wait)

    w.clock.advance(60)
    w.registry.log_metrics(info, {"test_auc": 0.9})

    assert only_event(w.run(validate, event)).type == EventType.VALIDATED


@pytest.mark.parametrize(
    ("on_missing", "kind"), [("hold", EventType.HELD), ("reject", EventType.REJECTED)]
)
def test_at_the_deadline_what_is_missing_decides(on_missing: str, kind: EventType):
    w = world(on_missing=on_missing)
    info = w.registry.create_version("fraud", metrics={"auc_test": 0.92})
    event = w.event(EventType.VERSION_CREATED, info.version)

    w.clock.advance(3600)

    told = only_event(w.run(validate, event))
    assert (told.type, told.data["code"]) == (kind, "incomplete")
    assert told.data["reasons"] == ["no test_auc or roc_auc; the run has auc_test=0.92"]


def test_observing_waits_without_a_word():
    w = World(mode=Mode.OBSERVE)
    info = w.registry.create_version("fraud")

    outcome = created(w, info.version)

    assert isinstance(outcome, Wait)
    assert outcome.then == ()


def test_an_ambiguous_metric_is_held_without_waiting():
    w = world(metrics={"auc": {"names": ["test_auc"], "better": "higher"}})
    info = w.register(0.9)
    w.registry.evidence_of[info.run_id or ""] = Evidence(
        (
            MetricValue("test_auc", 0.9, "run", "run-1"),
            MetricValue("test_auc", 0.8, "logged_model", "m-1"),
        )
    )

    told = only_event(created(w, info.version))

    assert (told.type, told.data["code"]) == (EventType.HELD, "ambiguous")
    assert "if_several" in told.data["next"][0]


def test_the_signature_is_read_only_where_it_is_required():
    w = world(require={"signature": True}, promote={})
    info = w.register(0.9, signature=Signature(is_there=False))

    assert only_event(created(w, info.version)).data["reasons"] == ["the model has no signature"]


def test_a_version_that_is_gone_is_skipped():
    w = world()
    info = w.register()
    w.registry.delete_version(MODEL, info.version)

    assert created(w, info.version) == Skipped("the version was deleted")


def test_a_model_without_a_policy_is_left_alone():
    w = world(name="none", mode="observe")
    info = w.register()

    assert created(w, info.version) == Skipped("no policy governs fraud")
    assert w.registry.requests["version"] == 0


def test_a_registration_that_goes_on_is_waited_for_and_one_that_failed_is_held():
    w = world()
    info = w.register()
    w.set_status(info.version, "PENDING_REGISTRATION")
    assert isinstance(created(w, info.version), Wait)

    w.set_status(info.version, "FAILED_REGISTRATION")

    told = only_event(created(w, info.version))
    assert told.data["reasons"] == ["the registry says FAILED_REGISTRATION"]


def test_it_asks_the_registry_twice():
    w = world()
    info = w.register()

    created(w, info.version)

    assert w.registry.requests == {"version": 1, "evidence": 1}


# --- judged again --------------------------------------------------------------------------------


def again(w: World, kind: EventType, version: str, **more: Any) -> Outcome:
    return w.run(validate, w.event(kind, version, seen_by="webhook", **more))


def held(w: World, version: str, verdict: str = "held") -> None:
    w.history.verdicts[MODEL, version] = Verdict(verdict)


@pytest.mark.parametrize("verdict", ["held", "rejected"])
def test_late_metrics_of_a_held_or_rejected_version_are_judged(verdict: str):
    w = world()
    info = w.register(0.9)
    held(w, info.version, verdict)

    outcome = again(w, EventType.VERSION_METRICS_LOGGED, info.version)

    assert only_event(outcome).type == EventType.VALIDATED


@pytest.mark.parametrize("verdict", ["promoted", "rolled_back", "waiting"])
def test_other_verdicts_stand(verdict: str):
    w = world()
    info = w.register(0.9)
    held(w, info.version, verdict)

    outcome = again(w, EventType.VERSION_METRICS_LOGGED, info.version)

    assert outcome == Skipped(f"the version is {verdict}")


def test_news_of_history_is_no_registration():
    w = world()
    info = w.register(0.9)

    assert isinstance(again(w, EventType.VERSION_METRICS_LOGGED, info.version), Skipped)


def test_a_persons_rejection_is_final():
    w = world()
    info = w.register(0.9)
    held(w, info.version, "rejected")
    w.history.rejected[MODEL] = {info.version}

    assert again(w, EventType.VERSION_METRICS_LOGGED, info.version) == Skipped(
        "a person rejected the version"
    )


@pytest.mark.parametrize(
    ("key", "is_judged"), [("data_version", True), ("owner", False), ("steward.verdict", False)]
)
def test_only_tags_that_a_rule_reads_matter(key: str, is_judged: bool):
    w = world(require={"required_tags": ["data_version"]})
    info = w.register(0.9, tags={"data_version": "7"})
    held(w, info.version)

    outcome = again(w, EventType.VERSION_TAG_SET, info.version, data={"key": key})

    assert isinstance(outcome, Done) == is_judged


def test_a_metric_that_comes_as_a_tag_is_evidence():
    metric = {"names": ["auc"], "better": "higher", "from": "tags"}
    w = world(metrics={"auc": metric})
    info = w.registry.create_version("fraud", tags={"auc": "0.91"})
    held(w, info.version)

    outcome = again(w, EventType.VERSION_TAG_SET, info.version, data={"key": "auc"})

    assert only_event(outcome).data["metrics"]["auc"]["value"] == "0.91"


def test_a_description_matters_where_it_is_required():
    w = world()
    info = w.register(0.9)
    held(w, info.version)

    assert again(w, EventType.VERSION_UPDATED, info.version) == Skipped(
        "no rule reads the description"
    )


def test_our_own_writes_are_no_news():
    w = world(require={"required_tags": ["data_version"]})
    info = w.register(0.9)
    held(w, info.version)
    own = w.event(EventType.VERSION_TAG_SET, info.version, data={"key": "data_version"})

    assert w.run(validate, own) == Skipped("Steward's own change")


def test_judging_again_begins_no_new_wait():
    w = world(require={"required_tags": ["data_version"]})
    info = w.register(0.9)
    held(w, info.version)
    w.clock.advance(7200)

    outcome = again(w, EventType.VERSION_METRICS_LOGGED, info.version)

    assert only_event(outcome).data["code"] == "incomplete"
