"""Approvals: who is asked, whose word counts, and that a person's no is final."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.approval_tags import mirror_of
from handlers.approvals import read
from handlers.decisions import decide
from handlers.expire import expire
from handlers.metrics import Found, exact
from handlers.production import Production
from handlers.promote import promote
from handlers.rulings import Decision, Facts, Measured, Request
from handlers.validate import validate
from steward.events import Event, EventType, NewEvent
from steward.policy import Policy
from steward.ports import Done, Outcome, Skipped, Verdict, Wait
from tests.unit.world import MODEL, World, make_policy


def asking(**approval: Any) -> Policy:
    """Below the margin people are asked."""
    return make_policy(
        promote={
            "when": {"metric": "auc", "margin": "0.02"},
            "approval": {"when": ["below_margin"], **approval},
        }
    )


def only_event(outcome: Outcome) -> NewEvent:
    assert isinstance(outcome, Done), outcome
    (event,) = outcome.events
    return event


def journal(w: World, new: NewEvent, cause: Event | None = None) -> Event:
    """Record what a handler returned, as the journal does."""
    w.clock.advance(1)
    data = dict(new.data)
    event = w.event(
        EventType(new.type), new.version, data=data, caused_by=cause.id if cause else None
    )
    if "verdict" in data:
        w.history.verdicts[MODEL, str(new.version)] = Verdict(data["verdict"], event_id=event.id)
    return event


def judge(w: World, event: Event) -> NewEvent | None:
    """Validate and promote, as the journal would route it."""
    validated = only_event(w.run(validate, event))
    if validated.type != EventType.VALIDATED:
        return validated
    outcome = w.run(promote, journal(w, validated, event))
    if isinstance(outcome, Done) and not outcome.events:
        return None
    return only_event(outcome)


def ask(policy: Policy) -> tuple[World, Event]:
    """Version 2 is better than Production by less than the margin: the question to people."""
    w = World(policy=policy)
    w.register_champion(0.9)
    version = w.register(0.91)
    asked = judge(w, w.event(EventType.VERSION_CREATED, version.version))
    assert asked is not None
    return w, journal(w, asked)


def approve(w: World, question: Event, actor: str = "ada", **data: Any) -> NewEvent | None:
    told = {"actor": actor, **{key: question.data[key] for key in ("evidence", "policy")}, **data}
    return judge(w, journal(w, NewEvent(EventType.APPROVAL_APPROVED, MODEL, "2", data=told)))


def test_what_the_policy_leaves_to_people_waits_for_them():
    _, question = ask(asking())

    assert question.type == EventType.APPROVAL_REQUESTED
    assert question.data["verdict"] == "awaiting_approval"
    assert question.data["code"] == "below_margin"


def test_an_approval_promotes_by_the_same_road_and_says_who_gave_it():
    w, question = ask(asking())

    promoted = approve(w, question)

    assert promoted is not None
    assert promoted.type == EventType.PROMOTED
    assert promoted.data["code"] == "approved"
    assert promoted.data["reasons"][0].startswith("approved by ada at 2026-03-01")
    assert w.stages() == {"1": "Archived", "2": "Production"}


def test_one_of_two_approvals_asks_on_until_the_same_hour():
    w, question = ask(asking(required=2))

    w.clock.advance(3600)
    again = approve(w, question)

    assert again is not None
    assert again.data["verdict"] == "awaiting_approval"
    assert again.data["given"] == ["ada"]
    assert again.data["expires_at"] == question.data["expires_at"]


def test_the_same_person_twice_is_one_approval():
    w, question = ask(asking(required=2))
    approve(w, question)

    approve(w, question)

    assert w.stages() == {"1": "Production"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"evidence": "another"}, "it was given on other evidence"),
        ({"policy": "fraud@else"}, "it was given under policy fraud@else"),
        ({"by_tag": True}, "approvals by tag are not accepted"),
    ],
)
def test_an_approval_of_something_else_does_not_count(changed: dict[str, Any], why: str):
    w, question = ask(asking())

    approve(w, question, **changed)

    assert w.stages() == {"1": "Production"}
    decision = decided(w, question, changed)
    assert any(why in reason for reason in decision.reasons)


def test_an_approval_under_the_policy_before_is_named_where_nobody_is_asked_any_more():
    basis = {"evidence": table(asking(), []).evidence, "policy": "fraud@before", "actor": "ada"}
    approval = World().event(EventType.APPROVAL_APPROVED, "2", data=basis)

    decision = table(asking(when=["first_version"]), [approval])

    assert (decision.kind, decision.code) == ("hold", "below_margin")
    told = "the approval of ada does not count: it was given under policy fraud@before"
    assert told in decision.reasons


def decided(w: World, question: Event, changed: dict[str, Any]) -> Decision:
    """What the table says with one approval that was changed so."""
    basis = {"evidence": table(w.policy, []).evidence, "policy": question.data["policy"]}
    told = {**basis, "actor": "ada", **changed}
    approval = w.event(EventType.APPROVAL_APPROVED, "2", data=told)
    return table(w.policy, [approval])


def table(policy: Policy, said: list[Event], **facts: Any) -> Decision:
    new = Measured("2", {"auc": Found(exact(0.91), "test_auc", "run", "r2")})
    old = Measured("1", {"auc": Found(exact(0.9), "test_auc", "run", "r1")})
    return decide(policy, new, old, Facts(Production(MODEL, "1"), said=read(said), **facts))


@pytest.mark.parametrize(("may", "kind"), [(False, "ask"), (True, "promote")])
def test_the_author_approves_only_where_the_policy_says_so(may: bool, kind: str):
    policy, w = asking(author_may_approve=may), World()
    evidence = table(policy, [], author="Ada").evidence
    data = {"actor": "ada", "evidence": evidence, "policy": policy.ref}

    decision = table(policy, [w.event(EventType.APPROVAL_APPROVED, "2", data=data)], author="Ada")

    assert decision.kind == kind
    assert any("unverified" in reason for reason in decision.reasons)


def test_a_version_that_nobody_answers_about_is_held_and_not_asked_about_again():
    w, question = ask(asking(expires_hours=1))
    waiting = w.run(expire, question)
    w.clock.advance(3601)

    expired = journal(w, only_event(w.run(expire, question)))
    after = table(w.policy, [w.event(EventType.APPROVAL_EXPIRED, "2", data={
        "evidence": table(w.policy, []).evidence})])  # fmt: skip

    assert isinstance(waiting, Wait)
    assert expired.data["code"] == "approval_expired"
    assert (after.kind, after.code) == ("hold", "approval_expired")


def test_an_answered_question_does_not_expire():
    w, question = ask(asking(expires_hours=1))
    journal(w, approve(w, question))  # type: ignore[arg-type]  # it was promoted
    w.clock.advance(3601)

    assert isinstance(w.run(expire, question), Skipped)


def test_a_persons_promotion_passes_the_margin():
    decision = table(make_policy(), [], request=Request("ada", "urgent"))

    assert (decision.kind, decision.code) == ("promote", "asked_for")


def test_a_persons_promotion_is_named_also_where_the_rules_would_promote():
    policy = make_policy(promote={"when": {"metric": "auc", "margin": "0.005"}})

    decision = table(policy, [], request=Request("eve", "in the freeze"))

    assert (decision.kind, decision.code) == ("promote", "beats_production")
    assert decision.reasons[0] == "eve promoted it: in the freeze"


def test_a_persons_promotion_does_not_pass_the_approval_that_the_policy_asks_for():
    assert table(asking(), [], request=Request("ada")).kind == "ask"


def test_a_persons_promotion_does_not_pass_failed_gates_but_an_override_does():
    w = World()
    w.register_champion(0.9)
    version = w.register(0.5).version
    data = {"actor": "ada", "reason": "urgent", "override": False}
    plain = w.event(EventType.PROMOTION_REQUESTED, version, data=data)
    override = w.event(EventType.PROMOTION_REQUESTED, version, data={**data, "override": True})

    refused, passed = judge(w, plain), judge(w, override)

    assert refused is not None
    assert refused.type == EventType.REJECTED
    assert passed is not None
    assert passed.data["code"] == "override"
    assert any("0.5" in reason for reason in passed.data["reasons"][1:])


def tag(w: World, value: str) -> Event:
    return w.event(
        EventType.VERSION_TAG_SET,
        "2",
        data={"key": "approval_status"},
        after=value,
        seen_by="webhook",
    )


def test_pending_by_tag_is_a_request_and_rejected_by_tag_a_rejection():
    w = World()
    w.register_champion(0.9)
    w.register(0.91)

    asked, rejected = w.run(validate, tag(w, "pending")), w.run(validate, tag(w, "rejected"))

    assert only_event(asked).type == EventType.APPROVAL_REQUESTED
    assert only_event(rejected).type == EventType.APPROVAL_REJECTED


@pytest.mark.parametrize("accepts", [False, True])
def test_approved_by_tag_counts_only_where_the_policy_says_so(accepts: bool):
    w, _ = ask(asking(accept_tags=accepts))

    outcome = w.run(validate, tag(w, "approved"))

    if not accepts:
        assert isinstance(outcome, Skipped)
        assert outcome.then == ("annotate",)  # which brings the tag back
        return
    promoted = judge(w, journal(w, only_event(outcome)))
    assert promoted is not None
    assert promoted.type == EventType.PROMOTED


@pytest.mark.parametrize("kind", [EventType.VERSION_TAG_SET, EventType.VERSION_TAG_DELETED])
@pytest.mark.parametrize("key", ["approved_by", "requested_at", "rejection_reason"])
def test_a_tag_of_an_approval_that_somebody_changed_is_brought_back(kind: EventType, key: str):
    w, _ = ask(asking())
    news = w.event(kind, "2", data={"key": key}, after="x", seen_by="webhook")

    theirs = w.run(validate, news)
    ours = w.run(validate, replace(news, seen_by="self"))
    gate = World(policy=make_policy(require={"required_tags": [key]}))
    gate.register(0.9)
    read_by_a_gate = gate.run(validate, replace(news, version="1"))

    assert isinstance(theirs, Skipped)
    assert theirs.then == ("annotate",)
    assert isinstance(ours, Skipped)
    assert ours.then == ()
    assert isinstance(read_by_a_gate, Skipped)
    assert read_by_a_gate.then == ()


def test_the_tags_mirror_the_journal_and_a_copy_has_none():
    w, question = ask(asking())
    copied = mirror_of(MODEL, "9", "held", w.services)
    pending = mirror_of(MODEL, "2", "awaiting_approval", w.services)
    promoted = approve(w, question)
    assert promoted is not None
    journal(w, promoted)

    approved = mirror_of(MODEL, "2", "promoted", w.services)

    assert set(copied.values()) == {None}
    assert (pending["approval_status"], pending["requested_by"]) == ("pending", "steward")
    assert (approved["approval_status"], approved["approved_by"]) == ("approved", "ada")


@pytest.mark.parametrize(
    ("verdict", "unanswered", "answered"),
    [
        ("awaiting_approval", "pending", "pending"),
        ("waiting", "pending", "pending"),
        ("held", None, None),
        ("promoted", None, "approved"),
        ("rolled_back", None, "approved"),
    ],
)
def test_only_an_open_question_is_pending(
    verdict: str, unanswered: str | None, answered: str | None
):
    w, question = ask(asking(required=2))

    before = mirror_of(MODEL, "2", verdict, w.services)
    approve(w, question)
    after = mirror_of(MODEL, "2", verdict, w.services)

    assert (before["approval_status"], after["approval_status"]) == (unanswered, answered)


WORDS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                EventType.APPROVAL_REQUESTED,
                EventType.APPROVAL_APPROVED,
                EventType.APPROVAL_EXPIRED,
                EventType.APPROVAL_REJECTED,
                EventType.PROMOTED,
            ]
        ),
        st.sampled_from(["ada", "bob"]),
    ),
    max_size=6,
)


@given(said=WORDS, when=st.sampled_from(["always", "below_margin"]), is_asked=st.booleans())
def test_a_rejected_version_is_promoted_by_nothing_but_an_override(
    said: list[tuple[EventType, str]], when: str, is_asked: bool
):
    policy, w = asking(when=[when]), World()
    basis = {"evidence": table(policy, []).evidence, "policy": policy.ref}
    events = [w.event(kind, "2", data={"actor": who, **basis}) for kind, who in said]
    closed = {"rejected_by_person": frozenset({"2"})}
    request = Request("eve", "because") if is_asked else None

    plain = table(policy, events, request=request, **closed)
    override = table(policy, events, request=Request("eve", "because", is_override=True), **closed)

    assert (plain.kind, plain.code) == ("reject", "rejected_by_person")
    assert (override.kind, override.code) == ("promote", "override")
