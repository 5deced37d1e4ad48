"""The number of a promoted version: by rule from signatures and the decision, or by a person."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.annotate import annotate
from handlers.promote import promote
from handlers.semantic_version import after, breaking, parse, tell
from steward.events import Event, EventType, NewEvent
from steward.ports import Column, Done, Signature, Verdict, VersionInfo
from tests.unit.world import MODEL, World, make_policy

AMOUNT, AGE = Column("amount", "double"), Column("age", "long")
ONE = Signature((AMOUNT,), (Column("0", "long"),))
TWO = Signature((AMOUNT, AGE), (Column("0", "long"),))
small = st.integers(0, 10**9 - 1)


def world(**sections: Any) -> World:
    return World(policy=make_policy(tags={"semantic_version": True}, **sections))


def champion(w: World, *, number: str | None = "1.2.3", signature: Signature | None = ONE) -> None:
    info = w.register_champion(0.9)
    sign(w, info, signature)
    if number:
        w.history.numbered[MODEL] = {info.version: number}


def sign(w: World, info: VersionInfo, signature: Signature | None) -> None:
    run_id = info.run_id or ""
    w.registry.evidence_of[run_id] = replace(w.registry.evidence_of[run_id], signature=signature)


def promoted(w: World, version: str, *, event: Any = None) -> NewEvent:
    outcome = w.run(promote, event or w.event(EventType.VALIDATED, version))
    assert isinstance(outcome, Done)
    (event,) = outcome.events
    assert event.type == EventType.PROMOTED
    return event


def number_of(event: NewEvent) -> str:
    return str(event.data["semantic_version"])


def test_nobody_asked_for_it_and_nothing_is_numbered():
    w = World()
    info = w.register(0.9)

    assert "semantic_version" not in promoted(w, info.version).data
    assert w.registry.requests["evidence"] == 1


def test_the_first_of_a_model():
    w = world()
    event = promoted(w, w.register(0.9).version)

    assert number_of(event) == "1.0.0"
    assert event.data["reasons"][-1] == "it is numbered 1.0.0, the first of its model"


def test_the_first_that_is_numbered_where_production_is_not():
    w = world()
    champion(w, number=None)

    assert number_of(promoted(w, w.register(0.95).version)) == "1.0.0"


def test_a_better_model_is_a_minor_step():
    w = world()
    champion(w)

    event = promoted(w, w.register(0.95, signature=ONE).version)

    assert number_of(event) == "1.3.0"
    assert event.data["reasons"][-1] == (
        "it is numbered 1.3.0, minor after 1.2.3: it beats version 1"
    )


def test_callers_that_break_are_a_major_step():
    w = world()
    champion(w)

    event = promoted(w, w.register(0.95, signature=TWO).version)

    assert number_of(event) == "2.0.0"
    assert "against version 1, new required column age" in event.data["reasons"][-1]


def test_what_a_person_promotes_within_the_noise_is_a_patch():
    w = world()
    champion(w)
    info = w.register(0.901, signature=ONE)
    asked = w.event(
        EventType.PROMOTION_REQUESTED, info.version, data={"actor": "ann", "reason": "retrained"}
    )
    validated = w.event(EventType.VALIDATED, info.version, caused_by=asked.id)

    event = promoted(w, info.version, event=validated)

    assert event.data["code"] == "asked_for"
    assert event.data["reasons"][-1] == (
        "it is numbered 1.2.4, patch after 1.2.3: nothing shows that it beats version 1"
    )


@pytest.mark.parametrize("unknown", [None, Signature(is_there=False)])
def test_a_signature_that_nobody_knows_is_no_break_and_said(unknown: Signature | None):
    w = world()
    champion(w)

    event = promoted(w, w.register(0.95, signature=unknown).version)

    assert number_of(event) == "1.3.0"
    assert ("could not be read" in event.data["reasons"][-1]) is (unknown is None)


def test_a_persons_tag_is_kept():
    w = world()
    champion(w)
    info = w.register(0.95, tags={"semantic_version": "4.0.0"}, signature=ONE)

    event = promoted(w, info.version)

    assert number_of(event) == "4.0.0"
    assert event.data["reasons"][-1] == "it is numbered 4.0.0, as its tag says"


@pytest.mark.parametrize("tag", ["4", "v4.0.0", "04.0.0", "4.0.0-rc1", "\uff14.0.0", "", "4.0.0\n"])
def test_a_tag_of_another_form_is_no_number(tag: str):
    w = world()
    champion(w)

    info = w.register(0.95, tags={"semantic_version": tag}, signature=ONE)

    assert number_of(promoted(w, info.version)) == "1.3.0"


def test_the_tag_of_a_copy_is_its_sources_and_counts_for_nothing():
    w = world()
    champion(w)
    tags = {"semantic_version": "4.0.0"}
    info = w.register(0.95, tags=tags, signature=ONE, source="models:/other/7")

    assert number_of(promoted(w, info.version)) == "1.3.0"


def test_the_tag_of_a_promoted_copy_counts_for_nothing_either():
    w = world()
    info = w.register(0.9, tags={"semantic_version": "7.0.0"}, source="models:/other/7")
    w.registry.set_stage(MODEL, info.version, "Production", archive_existing=True)
    w.know_champion(info.version)
    w.history.numbered[MODEL] = {info.version: "1.0.0"}  # its own tag was not written yet

    assert number_of(promoted(w, w.register(0.95).version)) == "1.1.0"


@pytest.mark.parametrize("tag", ["1.2.3", "0.0.0", "1.2.2"])
def test_a_tag_that_is_not_above_all_others_is_not_kept_and_said(tag: str):
    w = world()
    champion(w)

    event = promoted(w, w.register(0.95, tags={"semantic_version": tag}, signature=ONE).version)

    assert number_of(event) == "1.3.0"
    assert event.data["reasons"][-1].endswith(f"; its tag {tag} is not above 1.2.3")


def test_a_tag_leaves_room_to_count_on():
    w = world()
    champion(w)
    w.registry.set_version_tag(MODEL, "1", "semantic_version", "1.9999999999.0")

    assert number_of(promoted(w, w.register(0.95, signature=ONE).version)) == "1.3.0"


def test_the_largest_tag_is_counted_on_and_read_back():
    w = world()
    champion(w)
    info = w.register(0.95, tags={"semantic_version": "1.999999999.0"}, signature=ONE)
    assert number_of(promoted(w, info.version)) == "1.999999999.0"
    w.know_champion(info.version)
    w.history.numbered[MODEL][info.version] = "1.999999999.0"

    second = w.register(0.99, signature=ONE)
    assert number_of(promoted(w, second.version)) == "1.1000000000.0"
    w.know_champion(second.version)
    w.history.numbered[MODEL][second.version] = "1.1000000000.0"

    assert number_of(promoted(w, w.register(1.1, signature=ONE).version)) == "1.1000000001.0"


def test_a_lowered_tag_gives_no_number_twice():
    w = world()
    champion(w, number="1.1.0")
    w.registry.set_version_tag(MODEL, "1", "semantic_version", "0.0.1")

    assert number_of(promoted(w, w.register(0.95, signature=ONE).version)) == "1.2.0"


def test_a_correction_on_production_counts_for_the_next_one():
    w = world()
    champion(w)
    w.registry.set_version_tag(MODEL, "1", "semantic_version", "3.0.0")

    assert number_of(promoted(w, w.register(0.95, signature=ONE).version)) == "3.1.0"


def test_no_number_is_given_twice_after_a_rollback():
    w = world()
    champion(w)  # version 1, 1.2.3, Production again
    w.register(0.95)  # version 2 was it in between
    w.history.past_champions[MODEL] = ["1", "2", "1"]
    w.history.numbered[MODEL]["2"] = "1.3.0"

    assert number_of(promoted(w, w.register(0.99, signature=ONE).version)) == "1.4.0"


def test_a_version_that_becomes_production_again_keeps_its_number():
    w = world()
    champion(w)
    info = w.register(0.95)
    w.history.numbered[MODEL][info.version] = "1.1.0"

    event = promoted(w, info.version)

    assert number_of(event) == "1.1.0"
    assert event.data["reasons"][-1] == "it is numbered 1.1.0, as before"


def told(w: World, kind: EventType, version: str, verdict: str) -> Event:
    """An event that left the version with this verdict."""
    event = w.event(kind, version, data={"verdict": verdict})
    w.history.verdicts[MODEL, version] = Verdict(verdict, ("so",), event_id=event.id)
    return event


def tag(w: World, version: str) -> str | None:
    return w.registry.version(MODEL, version).tags.get("semantic_version")


def test_the_tag_is_written_with_the_promotion_and_left_to_people_afterwards():
    w = world()
    version = w.register(0.9).version
    w.history.numbered[MODEL] = {version: "1.0.0"}
    event = told(w, EventType.PROMOTED, version, "promoted")

    w.run(annotate, event)
    assert tag(w, version) == "1.0.0"

    w.registry.set_version_tag(MODEL, version, "semantic_version", "2.0.0")
    w.run(annotate, w.event(EventType.CHAMPION_CHANGED, version))
    w.run(annotate, event)  # replayed
    assert tag(w, version) == "2.0.0"


def test_a_tag_that_a_later_verdict_overtook_is_written_with_that():
    w = world()
    version = w.register(0.9).version
    w.history.numbered[MODEL] = {version: "1.0.0"}

    w.run(annotate, told(w, EventType.ROLLED_BACK, version, "rolled_back"))

    assert tag(w, version) == "1.0.0"


def test_the_tag_that_a_copy_brought_is_replaced_by_its_promotion_alone():
    w = world()
    version = w.register(0.9, tags={"semantic_version": "7.0.0"}, source="models:/other/7").version
    w.history.numbered[MODEL] = {version: "1.0.0"}

    w.run(annotate, told(w, EventType.PROMOTED, version, "promoted"))
    assert tag(w, version) == "1.0.0"

    w.registry.set_version_tag(MODEL, version, "semantic_version", "1.5.0")
    w.run(annotate, w.event(EventType.CHAMPION_CHANGED, version))
    assert tag(w, version) == "1.5.0"


def test_a_number_without_the_policy_asking_is_written_no_more():
    w = World()
    version = w.register(0.9).version
    w.history.numbered[MODEL] = {version: "1.0.0"}

    w.run(annotate, told(w, EventType.PROMOTED, version, "promoted"))

    assert tag(w, version) is None


@pytest.mark.parametrize(
    ("new", "old", "says"),
    [
        (ONE, ONE, ""),
        (ONE, TWO, ""),  # it no longer reads a column: nobody breaks
        (TWO, ONE, "new required column age"),
        (Signature(), ONE, ""),
        (ONE, Signature(), ""),
        (
            Signature((AMOUNT,), (Column("0", "string"),)),
            ONE,
            "its answer 0 was long, is string",
        ),
        (
            Signature((AMOUNT,), (Column("score", "long"),)),
            ONE,
            "its answer 0 was long, is gone",
        ),
        (Signature((AMOUNT,), (Column("0", "long"), Column("1", "double"))), ONE, ""),
    ],
)
def test_what_breaks_callers(new: Signature, old: Signature, says: str):
    assert breaking(new, old) == says


@given(st.tuples(small, small, small))
def test_each_step_is_higher_and_what_is_told_is_read_back(number: tuple[int, int, int]):
    assert parse(tell(number)) == number
    assert number < after(number, "patch") < after(number, "minor") < after(number, "major")
