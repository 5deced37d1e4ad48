"""Tags on the version itself: what differs is written, in one pass, after its intents."""

from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.annotate import annotate
from steward.events import EventType
from steward.policy import Mode
from steward.ports import Done, Intent, Skipped, Verdict, Wait
from tests.unit.world import MODEL, World

HELD = Verdict("held", ("test_auc 0.91 is\n not enough", "on q3"), "below_margin", policy="p@1")


def judged(w: World, verdict: Verdict = HELD) -> str:
    info = w.register()
    w.history.verdicts[MODEL, info.version] = verdict
    w.registry.requests.clear()
    return info.version


def tags(w: World, version: str) -> dict[str, str]:
    return dict(w.registry.version(MODEL, version).tags)


def test_the_verdict_and_its_reason_stand_on_the_version():
    w = World()
    version = judged(w)

    outcome = w.run(annotate, w.event(EventType.HELD, version))

    assert isinstance(outcome, Done)
    assert tags(w, version) == {
        "steward.verdict": "held",
        "steward.reason": "test_auc 0.91 is not enough; on q3",
        "steward.policy": "p@1",
        "steward.url": "http://steward.example/api/v1/models/fraud/explain?version=1",
    }


def test_the_receipt_of_the_decision_stands_there_too():
    w = World()
    version = judged(w, replace(HELD, receipt="9f2c"))

    w.run(annotate, w.event(EventType.HELD, version))

    assert tags(w, version)["steward.receipt"] == "9f2c"


def test_intents_come_before_the_tags():
    w = World()
    version = judged(w)
    intended: list[int] = []
    w.registry.after = lambda _method: intended.append(len(w.ledger.intents))

    w.run(annotate, w.event(EventType.HELD, version))

    assert intended == [4, 4, 4, 4]
    assert Intent(MODEL, version, "tag:steward.verdict", "held") in w.ledger.intents


def test_a_second_time_nothing_is_written():
    w = World()
    version = judged(w)
    w.run(annotate, w.event(EventType.HELD, version))
    w.registry.requests.clear()

    outcome = w.run(annotate, w.event(EventType.HELD, version))

    assert outcome == Skipped("the tags say so already")
    assert w.registry.requests == {"version": 1}


def test_only_what_differs_is_written():
    w = World()
    version = judged(w)
    w.run(annotate, w.event(EventType.HELD, version))
    w.registry.requests.clear()
    w.history.verdicts[MODEL, version] = Verdict("rejected", HELD.reasons, policy="p@1")

    w.run(annotate, w.event(EventType.REJECTED, version))

    assert w.registry.requests["set_version_tag"] == 1


def test_a_wait_says_what_for():
    w = World()
    version = judged(w, Verdict("waiting", ("waiting for test_auc until 14:32 UTC",)))

    w.run(annotate, w.event(EventType.VERSION_CREATED, version))

    assert tags(w, version)["steward.reason"] == "waiting for test_auc until 14:32 UTC"
    assert tags(w, version)["steward.policy"] == "fraud@000000000000"


def test_a_promotion_under_way_is_left_to_bring_its_own_tags():
    w = World()
    version = judged(w, Verdict("waiting", ("being judged",)))
    event = w.event(EventType.VALIDATED, version)
    soon = w.clock.now() + timedelta(seconds=2)

    assert w.run(annotate, event) == Wait(soon, "being decided", check_seconds=2)

    w.clock.advance(2)
    assert isinstance(w.run(annotate, event), Done)


def test_a_verdict_that_changes_while_writing_has_the_last_word():
    w = World()
    version = judged(w, Verdict("waiting", ("being judged",)))

    def decided(_method: str) -> None:
        w.history.verdicts[MODEL, version] = Verdict("promoted", ("better by 0.05",))

    w.registry.after = decided
    w.run(annotate, w.event(EventType.VERSION_CREATED, version))

    assert tags(w, version)["steward.verdict"] == "promoted"
    assert tags(w, version)["steward.reason"] == "better by 0.05"


def test_a_long_reason_is_cut():
    w = World()
    version = judged(w, Verdict("held", ("x" * 900,)))

    w.run(annotate, w.event(EventType.HELD, version))

    reason = tags(w, version)["steward.reason"]
    assert (len(reason), reason[-1]) == (500, "…")


@pytest.mark.parametrize("name", ["rolled_back", "promoted", "rejected"])
def test_every_verdict_is_written(name: str):
    w = World()
    version = judged(w, Verdict(name))

    w.run(annotate, w.event(EventType.ROLLED_BACK, version))

    assert tags(w, version)["steward.verdict"] == name


def test_a_rollback_is_told_on_the_version_left_and_on_the_one_that_is_back():
    w = World()
    back, left = w.register(), w.register()
    event = w.event(EventType.ROLLED_BACK, left.version, before=left.version, after=back.version)
    w.history.verdicts[MODEL, left.version] = Verdict("rolled_back", event_id=event.id)
    w.history.verdicts[MODEL, back.version] = Verdict("promoted", event_id=event.id)

    outcome = w.run(annotate, event)

    assert isinstance(outcome, Done)
    assert "version 1: wrote" in outcome.note
    told = {each: tags(w, each)["steward.verdict"] for each in (back.version, left.version)}
    assert told == {back.version: "promoted", left.version: "rolled_back"}


def test_a_version_without_a_verdict_is_left_alone():
    w = World()
    info = w.register()

    assert w.run(annotate, w.event(EventType.VALIDATED, info.version)) == Skipped("no verdict yet")


def test_observing_writes_nothing():
    w = World(mode=Mode.OBSERVE)
    version = judged(w)

    assert isinstance(w.run(annotate, w.event(EventType.HELD, version)), Skipped)
    assert tags(w, version) == {}


def test_a_deleted_version_is_skipped():
    w = World()
    version = judged(w)
    w.registry.delete_version(MODEL, version)

    outcome = w.run(annotate, w.event(EventType.HELD, version))

    assert outcome == Skipped("the version was deleted")


def test_a_version_that_is_deleted_while_its_tags_are_written_is_skipped():
    w = World()
    version = judged(w)

    def delete(method: str) -> None:
        if method == "set_version_tag":
            w.registry.after = None
            w.registry.delete_version(MODEL, version)

    w.registry.after = delete

    outcome = w.run(annotate, w.event(EventType.HELD, version))

    assert outcome == Skipped("the version was deleted")


def test_an_older_event_leaves_the_tags_to_the_decision_that_followed():
    w = World()
    version = judged(w, Verdict("held", ("not better",), "below_margin", event_id="later"))

    outcome = w.run(annotate, w.event(EventType.VALIDATED, version))

    assert outcome == Skipped("a later event brought its own tags")
    assert tags(w, version) == {}


def test_a_tag_that_somebody_set_is_brought_back_to_what_the_journal_says():
    w = World()
    version = judged(w, replace(HELD, event_id="the-decision"))
    w.registry.set_version_tag(MODEL, version, "steward.verdict", "promoted")
    key = {"key": "approval_status"}

    outcome = w.run(annotate, w.event(EventType.VERSION_TAG_SET, version, data=key))

    assert isinstance(outcome, Done)
    assert tags(w, version)["steward.verdict"] == "held"
