"""The number of a promoted version: by rule from signatures and the decision, or by a person."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.annotate import annotate
from handlers.promote import promote
from handlers.semantic_version import after, breaking, parse, tell
from steward.errors import PermanentError
from steward.events import EventType, NewEvent
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


def test_a_registry_that_refuses_to_tell_does_not_undo_a_promotion():
    w = world()
    champion(w)
    info = w.register(0.95, signature=TWO)
    read = w.registry.evidence

    def refuses_signatures(version: VersionInfo, *, with_signature: bool = False):
        if with_signature:
            raise PermanentError("no")
        return read(version)

    w.registry.evidence = refuses_signatures  # type: ignore[method-assign]

    assert number_of(promoted(w, info.version)) == "1.3.0"


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
    info = w.register(0.95, tags={"semantic_version": "4.0.0"}, signature=ONE)
    run_id = info.run_id or ""
    held = w.registry.evidence_of[run_id]
    w.registry.evidence_of[run_id] = replace(held, copied_from="other/7")

    assert number_of(promoted(w, info.version)) == "1.3.0"


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


def test_the_tag_is_written_with_the_promotion_and_left_to_people_afterwards():
    w = world()
    info = w.register(0.9)
    event = w.event(
        EventType.PROMOTED, info.version, data={"semantic_version": "1.0.0", "verdict": "promoted"}
    )
    w.history.verdicts[MODEL, info.version] = Verdict("promoted", ("so",), event_id=event.id)

    w.run(annotate, event)
    assert w.registry.version(MODEL, info.version).tags["semantic_version"] == "1.0.0"

    w.registry.set_version_tag(MODEL, info.version, "semantic_version", "2.0.0")
    w.run(annotate, w.event(EventType.CHAMPION_CHANGED, info.version))
    assert w.registry.version(MODEL, info.version).tags["semantic_version"] == "2.0.0"


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
