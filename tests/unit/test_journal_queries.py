# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
import time
from datetime import timedelta
from typing import Any

import pytest

from steward.errors import NotFoundError
from steward.events import ModelRef, NewEvent
from steward.journal import (
    audit,
    commands,
    deliveries,
    departures,
    dispatches,
    fleet,
    queries,
    readings,
    replay,
)
from steward.journal.history import JournalHistory
from steward.journal.ledger import JournalLedger
from steward.journal.queries import EventFilter
from steward.journal.store import Journal
from steward.ports import Done, Intent, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    claimed,
    delivered,
    dispatched,
    events_in,
    finish,
    happened,
    journal,
    journal_url,
    migrated_journal_file,
    row_of,
    rows_of,
    version_created,
)


def found(journal: Journal, **which: Any) -> list[tuple[str, str]]:
    """(type, status) of the events of a filter, newest first."""
    with journal.read() as connection:
        items, _ = queries.list_events(connection, EventFilter(**which), cursor=None, limit=100)
    return [(event.type, status) for event, status in items]


# --- lists of events ------------------------------------------------------------------------------


def test_an_event_s_status_is_that_of_its_dispatches(journal: Journal, clock: FixedClock) -> None:
    dispatched(journal, "work.free")
    waiting = dispatched(journal, "model_version.created")
    finish(journal, waiting, Wait(clock.at + timedelta(hours=1), "waiting"))
    finish(journal, dispatched(journal, "work.production"))
    dispatches.fail(
        journal, claimed(journal, dispatched(journal, "work.told")), "x", retry_in_seconds=None
    )

    assert found(journal) == [
        ("work.told", "dead"),
        ("work.production", "done"),
        ("model_version.created", "waiting"),
        ("work.free", "open"),
    ]
    for status in ("dead", "done", "waiting"):
        assert [each for _, each in found(journal, status=status)] == [status]
    assert [each for _, each in found(journal, status="open")] == ["waiting", "open"]
    assert found(journal, status="unheard of") == []


def test_events_are_found_by_what_they_are_of(journal: Journal) -> None:
    happened(journal, "work.free", model=ModelRef("fraud-eu"), version="1")
    happened(journal, "work.free", model=ModelRef("fraud_eu"), version="2")
    happened(journal, "other", model=None)

    assert len(found(journal, model="fraud-*")) == 1
    assert len(found(journal, model="fraud_*")) == 1
    assert len(found(journal, model="fraud*")) == 2
    assert len(found(journal, model="50%*")) == 0
    assert len(found(journal, type="work.*", version="2")) == 1
    assert len(found(journal, text="FRAUD-E")) == 1
    assert len(found(journal, seen_by="self")) == 3
    assert found(journal, seen_by="webhook") == found(journal, seen_by="nobody") == []


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("fraud*", ["fraud", "fraud[1]", "fraud_eu"]),
        ("Fraud*", ["Fraud"]),
        ("FRAUD*", []),
        ("*[1]", ["fraud[1]"]),
        ("fraud_*", ["fraud_eu"]),
        ("*?", ["why?"]),
        ("*\\*", ["back\\slash"]),
        ("100%*", ["100%"]),
        ("*", ["100%", "Fraud", "back\\slash", "fraud", "fraud[1]", "fraud_eu", "why?"]),
    ],
)
def test_in_a_glob_case_counts_and_only_the_star_is_special(
    journal: Journal, glob: str, names: list[str]
) -> None:
    for name in ("fraud", "Fraud", "fraud[1]", "fraud_eu", "why?", "back\\slash", "100%"):
        happened(journal, "work.free", model=ModelRef(name))

    with journal.read() as connection:
        which = EventFilter(model=glob)
        items, _ = queries.list_events(connection, which, cursor=None, limit=100)
    assert sorted(event.model.name for event, _ in items if event.model) == names


def test_events_are_found_by_when_they_were_recorded(journal: Journal, clock: FixedClock) -> None:
    happened(journal, "a")
    noon = clock.advance(60)
    happened(journal, "b")

    assert found(journal, since=noon) == [("b", "done")]
    assert found(journal, until=noon) == [("a", "done")]


def test_pages_follow_each_other_without_gap_or_repeat(journal: Journal) -> None:
    for number in range(7):
        happened(journal, f"n{number}")

    pages, cursor = [], None
    while True:
        with journal.read() as connection:
            page, cursor = queries.list_events(connection, EventFilter(), cursor=cursor, limit=3)
        pages.append([event.type for event, _ in page])
        if cursor is None:
            break
        happened(journal, "later")  # what comes meanwhile does not shift the pages

    assert pages == [["n6", "n5", "n4"], ["n3", "n2", "n1"], ["n0"]]


@pytest.mark.parametrize("cursor", ["x", "ä", "====", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "LTE="])
def test_a_cursor_that_is_not_ours_is_a_value_error(journal: Journal, cursor: str) -> None:
    with journal.read() as connection, pytest.raises(ValueError):
        queries.list_events(connection, EventFilter(), cursor=cursor, limit=3)


def test_a_chain_goes_back_to_its_root(journal: Journal) -> None:
    finish(journal, dispatched(journal, "work.free"), Done(events=(NewEvent("work.production"),)))
    root, effect = events_in(journal)

    with journal.read() as connection:
        assert [each.id for each in queries.chain(connection, effect.id)] == [effect.id, root.id]
        assert [each.id for each in queries.caused_by(connection, root.id)] == [effect.id]


# --- what handlers look up ------------------------------------------------------------------------


def history_of(journal: Journal) -> JournalHistory:
    return JournalHistory(journal, claimed(journal, dispatched(journal, "work.free")))


def test_a_version_waits_while_it_is_judged_and_then_stands_where_it_was_put(
    journal: Journal, clock: FixedClock
) -> None:
    history = history_of(journal)
    assert history.verdict(FRAUD, "1") is None
    _, [hint] = deliveries.record(journal, [version_created(at=clock.at, id="d1")])
    finish(journal, hint.dispatch_id, Wait(clock.at, "waiting for test_auc until 14:32"))

    waiting = history.verdict(FRAUD, "1")
    held = NewEvent("promotion.held", data={"reasons": ["0.01 better"], "code": "below_margin"})
    finish(journal, hint.dispatch_id, Done(events=(held,)))
    standing = history.verdict(FRAUD, "1")

    assert waiting is not None
    assert (waiting.verdict, waiting.reasons) == ("waiting", ("waiting for test_auc until 14:32",))
    assert standing is not None
    assert (standing.verdict, standing.code) == ("held", "below_margin")
    assert standing.reasons == ("0.01 better",)


def champion_is(journal: Journal, version: str, *facts: NewEvent) -> None:
    """Production was read, by a handler that also recorded these facts."""
    mine = claimed(journal, dispatched(journal, "work.free"))
    read = readings.look(journal, FRAUD).reading("", "champion", version)
    dispatches.record(journal, mine, Done(events=facts, readings=(read,)))


def test_champions_are_the_present_one_and_those_before(journal: Journal) -> None:
    history = history_of(journal)
    for version in ("1", "2", "1"):
        champion_is(journal, version)

    assert history.champions(FRAUD) == ["1", "2", "1"]


def test_what_a_promotion_replaced_was_production_though_nobody_had_read_it(
    journal: Journal,
) -> None:
    history = history_of(journal)
    champion_is(journal, "1")  # a person makes 2 Production, which nobody reads
    promoted = NewEvent("model_version.promoted", FRAUD, "3", before="2", after="3")

    champion_is(journal, "3", promoted)

    assert history.champions(FRAUD) == ["3", "2", "1"]


def test_what_a_rollback_left_was_production_though_nobody_had_read_it(journal: Journal) -> None:
    history = history_of(journal)
    champion_is(journal, "1")  # a person makes 2 Production, which nobody reads
    rolled_back = NewEvent("model_version.rolled_back", FRAUD, "2", before="2", after="1")

    champion_is(journal, "1", rolled_back)  # no change of what was known

    assert history.champions(FRAUD) == ["1", "2", "1"]


def test_a_version_that_is_judged_again_is_decided_all_the_same(
    journal: Journal, clock: FixedClock
) -> None:
    history = history_of(journal)
    decide(journal, clock, "promotion.held")
    clock.advance(1)
    deliveries.record(journal, [version_created("6", at=clock.at, id="d-6")])

    again = NewEvent("model_version.validated", FRAUD, "5")
    dispatches.record(journal, claimed(journal, dispatched(journal, "work.free")), Done((again,)))

    standing = history.verdict(FRAUD, "5")
    assert standing is not None
    assert standing.verdict == "waiting"
    assert history.is_decided(FRAUD, "5")
    assert not history.is_decided(FRAUD, "6")


def test_what_a_person_made_production_is_theirs_though_a_handler_had_begun_to_follow(
    journal: Journal,
) -> None:
    mine = claimed(journal, dispatched(journal, "work.free"))
    JournalLedger(journal, mine).intend([Intent(FRAUD, "", "alias:champion", "1")])
    read = readings.look(journal, FRAUD).reading("", "champion", "2")

    facts = (NewEvent("policy.violated", FRAUD, "2"),)
    dispatches.record(journal, mine, Done(events=facts, readings=(read,)))

    standing = history_of(journal).verdict(FRAUD, "2")
    assert standing is not None
    assert (standing.verdict, standing.code) == ("promoted", "by_hand")


def test_changes_of_production_are_what_was_read_and_what_made_it_since_then(
    journal: Journal, clock: FixedClock
) -> None:
    champion_is(journal, "1")
    since = clock.advance(1)
    promoted = NewEvent("model_version.promoted", FRAUD, "2", before="1", after="2")
    champion_is(journal, "2", promoted, NewEvent("promotion.held", FRAUD, "3"))

    found = history_of(journal).changes(FRAUD, since=since)

    assert [(each.type, each.before, each.after) for each in found] == [
        ("model_version.promoted", "1", "2"),
        ("registered_model.champion_changed", "1", "2"),
    ]


def decide(journal: Journal, clock: FixedClock, *types: str) -> None:
    """Version 5 is registered and these decisions are made of it."""
    created = version_created("5", at=clock.at, id=f"d-{types}")
    _, [hint] = deliveries.record(journal, [created])
    facts = tuple(NewEvent(kind, data={"verdict": "so", "reasons": ["so"]}) for kind in types)
    finish(journal, hint.dispatch_id, Done(events=facts))


def test_a_model_that_was_created_again_has_none_of_the_past_of_its_name(
    journal: Journal, clock: FixedClock
) -> None:
    history = history_of(journal)
    for version in ("1", "2", "3"):
        champion_is(journal, version)
    decide(journal, clock, "promotion.held", "model_version.rolled_back")
    before = history.verdict(FRAUD, "5"), history.rolled_back_from(FRAUD)

    departures.record_gone(journal, readings.look(journal, FRAUD))
    when_gone = history.verdict(FRAUD, "5")
    champion_is(journal, "1")

    assert before[0] is not None
    assert (before[0].verdict, before[1]) == ("rolled_back", frozenset({"5"}))
    assert when_gone == before[0]  # an account of it can still be asked for
    assert history.champions(FRAUD) == ["1"]
    assert history.verdict(FRAUD, "5") is None
    assert history.rolled_back_from(FRAUD) == frozenset()


def test_under_judgement_is_every_version_whose_standing_verdict_is_open(
    journal: Journal, clock: FixedClock
) -> None:
    history = history_of(journal)
    words: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
        "1": (("promotion.held", {}),),
        "2": (("promotion.held", {}), ("model_version.rejected", {})),
        "3": (("model_version.rejected", {}), ("approval.requested", {"verdict": "asked"})),
        "4": (("model_version.rejected", {}), ("approval.requested", {})),  # by a person
        "5": (("approval.expired", {}),),
        "6": (("promotion.held", {}), ("model_version.promoted", {})),
        "7": (),
        "8": (("model_version.rejected", {}),),
    }
    for number, said in words.items():
        created = version_created(number, at=clock.at, id=f"d{number}")
        _, [hint] = deliveries.record(journal, [created])
        facts = tuple(NewEvent(kind, data=told) for kind, told in said)
        finish(journal, hint.dispatch_id, Done(events=facts))
    happened(journal, "model_version.validated", version="8")  # judged anew, and not done
    _, [hint] = deliveries.record(journal, [version_created("9", at=clock.at, id="d9")])
    dispatches.fail(journal, claimed(journal, hint.dispatch_id), "x", retry_in_seconds=None)
    finish(journal, dispatched(journal, "work.free", version="1"))

    found = history.under_judgement(FRAUD)

    assert found == {"1", "3", "5", "8", "9"}
    standing = {number: history.verdict(FRAUD, number) for number in (*words, "9")}
    verdicts = {number: each.verdict for number, each in standing.items() if each}
    assert found == {
        number for number, verdict in verdicts.items() if verdict not in ("rejected", "promoted")
    }


def test_a_model_that_was_created_again_has_nothing_under_judgement(
    journal: Journal, clock: FixedClock
) -> None:
    history = history_of(journal)
    decide(journal, clock, "promotion.held")

    departures.record_gone(journal, readings.look(journal, FRAUD))
    champion_is(journal, "1")

    assert history.under_judgement(FRAUD) == frozenset()


def test_what_waits_for_an_operator_of_a_model_that_is_gone_judges_nothing_of_the_next(
    journal: Journal, clock: FixedClock
) -> None:
    history = history_of(journal)
    _, [hint] = deliveries.record(journal, [version_created("5", at=clock.at, id="d1")])
    dispatches.fail(journal, claimed(journal, hint.dispatch_id), "x", retry_in_seconds=None)
    departures.record_gone(journal, readings.look(journal, FRAUD))

    champion_is(journal, "1")

    assert history.verdict(FRAUD, "5") is None


def test_the_numbers_that_promotions_gave_the_latest_of_each_version(
    journal: Journal, clock: FixedClock
) -> None:
    history = history_of(journal)
    assert history.numbers(FRAUD) == {}
    _, [hint] = deliveries.record(journal, [version_created(at=clock.at, id="d1")])

    def promoted(version: str, **data: str) -> NewEvent:
        return NewEvent("model_version.promoted", version=version, data=data)

    first, unnumbered = promoted("1", semantic_version="1.0.0"), promoted("2")
    later, again = promoted("3", semantic_version="1.1.0"), promoted("1", semantic_version="1.2.0")
    finish(journal, hint.dispatch_id, Done((first, unnumbered, later, again)))

    assert history.numbers(FRAUD) == {"1": "1.2.0", "3": "1.1.0"}


def test_a_generation_only_grows_and_is_given_once_a_run(journal: Journal) -> None:
    history = history_of(journal)
    [cause] = events_in(journal)

    first = history.next_generation(FRAUD, "1", cause)
    again = history.next_generation(FRAUD, "1", cause)
    other = history.next_generation(FRAUD, "2", cause)

    assert (first.generation, again.generation, other.generation) == (1, 1, 2)
    assert history.desired(FRAUD) == other
    assert [each.after for each in events_in(journal, "rollout.started")] == ["1", "2"]


# --- replicas -------------------------------------------------------------------------------------


def beat(name: str, *, generation: int = 0, **more: Any) -> fleet.Heartbeat:
    told = {"state": "ready", "version": "1", "url": f"http://{name}", **more}
    return fleet.Heartbeat(
        id=name,
        model=FRAUD,
        generation=generation,
        boot_id="b",
        started_at=None,
        last_error=None,
        **told,
    )


def test_replicas_live_for_fifteen_seconds_after_a_heartbeat(
    journal: Journal, clock: FixedClock
) -> None:
    fleet.record_heartbeats(journal, [beat("a"), beat("b"), beat("c", state="stopping")])
    clock.advance(10)
    fleet.record_heartbeats(journal, [beat("b")])

    assert [each.id for each in fleet.live_replicas(journal, FRAUD)] == ["a", "b"]
    clock.advance(6)
    assert [each.id for each in fleet.live_replicas(journal, FRAUD)] == ["b"]


def test_a_heartbeat_that_waited_to_be_written_is_as_old_as_it_is(journal: Journal) -> None:
    now = time.monotonic()

    fleet.record_heartbeats(journal, [beat("fresh", heard_at=now), beat("old", heard_at=now - 16)])
    fleet.record_heartbeats(journal, [beat("fresh", heard_at=now), beat("old", heard_at=now - 17)])

    assert [each.id for each in fleet.live_replicas(journal, FRAUD)] == ["fresh"]
    read_at, (fresh, old) = fleet.all_replicas(journal)
    assert timedelta(0) <= read_at - fresh.seen_at < timedelta(seconds=10)
    assert timedelta(seconds=17) <= read_at - old.seen_at < timedelta(seconds=27)


def test_of_two_heartbeats_in_one_batch_the_later_counts(journal: Journal) -> None:
    early = beat("a", state="loading")

    fleet.record_heartbeats(journal, [beat("a", state="ready"), early])

    assert [each.state for each in fleet.all_replicas(journal)[1]] == ["ready"]


def test_a_replica_ahead_of_us_raises_our_generation_above_its_own(journal: Journal) -> None:
    history_of(journal).next_generation(FRAUD, "1", events_in(journal)[0])

    fleet.record_heartbeats(journal, [beat("a", generation=9)])

    assert fleet.all_desired(journal)[FRAUD].generation == 10


def test_a_generation_beyond_all_others_spoils_no_batch(journal: Journal) -> None:
    history_of(journal).next_generation(FRAUD, "1", events_in(journal)[0])

    fleet.record_heartbeats(journal, [beat("a", generation=2**31 - 1), beat("b")])

    assert len(fleet.live_replicas(journal, FRAUD)) == 2


# --- operators ------------------------------------------------------------------------------------


def test_a_pause_covers_a_model_or_all_until_it_is_resumed(journal: Journal) -> None:
    history = history_of(journal)
    commands.pause(journal, FRAUD, actor="ana", reason="audit")

    assert history.paused(FRAUD) == "paused by ana: audit"
    assert history.paused(ModelRef("other")) is None
    commands.pause(journal, None, actor="bo", reason="storm")
    assert history.paused(ModelRef("other")) == "paused by bo: storm"
    assert history.paused(FRAUD) == "paused by ana: audit"
    commands.resume(journal, FRAUD, actor="ana", reason="")
    commands.resume(journal, None, actor="ana", reason="")
    assert history.paused(FRAUD) is None
    assert commands.resume(journal, None, actor="ana", reason="") == (None, [])


def test_resuming_takes_up_what_waited(journal: Journal, clock: FixedClock) -> None:
    work = dispatched(journal, "work.free")
    commands.pause(journal, FRAUD, actor="ana", reason="audit")
    finish(journal, work, Wait(clock.at + timedelta(hours=1), "paused", check_seconds=600))

    _, hints = commands.resume(journal, FRAUD, actor="ana", reason="done")

    assert work in {hint.dispatch_id for hint in hints}
    assert row_of(journal, work).due_at == clock.at


@pytest.mark.parametrize("scope", [FRAUD, None], ids=["of the model", "of everything"])
def test_a_pause_that_ends_while_the_handler_looks_is_not_waited_for(
    journal: Journal, clock: FixedClock, scope: ModelRef | None
) -> None:
    commands.pause(journal, scope, actor="ana", reason="audit")
    work = dispatched(journal, "work.free")
    mine = claimed(journal, work)
    commands.resume(journal, scope, actor="ana", reason="done")
    clock.advance(1)

    wait = Wait(clock.at + timedelta(days=30), "paused", check_seconds=3600, is_pause=True)
    hints = dispatches.record(journal, mine, wait)

    assert row_of(journal, work).due_at == clock.at
    assert work in {hint.dispatch_id for hint in hints}


def test_a_wait_for_a_pause_that_goes_on_is_a_wait(journal: Journal, clock: FixedClock) -> None:
    for scope in (FRAUD, None):
        commands.pause(journal, scope, actor="ana", reason="audit")
    work = dispatched(journal, "work.free")
    mine = claimed(journal, work)
    commands.resume(journal, FRAUD, actor="ana", reason="done")

    wait = Wait(clock.at + timedelta(days=30), "paused", check_seconds=3600, is_pause=True)
    dispatches.record(journal, mine, wait)

    assert row_of(journal, work).due_at == clock.at + timedelta(hours=1)


def test_a_rollback_asked_for_before_the_model_was_ever_seen_can_be_carried_out(
    journal: Journal,
) -> None:
    unseen = ModelRef("unseen")
    event_id, [hint] = commands.request_rollback(
        journal, unseen, version=None, actor="ana", reason="bad"
    )
    mine = claimed(journal, hint.dispatch_id)
    intent = Intent(unseen, "1", "stage", "Production")

    JournalLedger(journal, mine).intend([intent])

    assert mine.event.id == event_id
    assert [one for one, _ in JournalLedger(journal, mine).begun()] == [intent]


def test_a_run_that_came_to_its_end_left_nothing_begun_for_a_replay_to_finish(
    journal: Journal,
) -> None:
    intent = Intent(FRAUD, "1", "stage", "Production")
    work = dispatched(journal, "work.free")
    first = claimed(journal, work)
    JournalLedger(journal, first).intend([intent])
    assert [one for one, _ in JournalLedger(journal, first).begun()] == [intent]
    dispatches.record(journal, first, Done())
    chosen = events_in(journal)
    replay.apply(journal, chosen, handlers=None, mode="all", actor="ana", reason="again")

    again = JournalLedger(journal, claimed(journal, work))

    assert again.begun() == []


def test_a_token_is_kept_as_a_digest_and_ends_when_revoked(journal: Journal) -> None:
    secret, token = audit.create_token(journal, owner="ana", role="operator", models=["fraud-*"])

    assert audit.find_token(journal, secret) == token
    assert secret not in str(rows_of(journal, audit.tokens))
    assert audit.has_token(journal)
    audit.revoke_token(journal, token.id)
    assert audit.find_token(journal, secret) is None
    assert not audit.has_token(journal)
    with pytest.raises(NotFoundError):
        audit.revoke_token(journal, token.id)


@pytest.mark.parametrize(
    ("held", "wanted", "model", "may"),
    [
        ("admin", "approver", "any", True),
        ("operator", "operator", "fraud-1", True),
        ("operator", "approver", "fraud-1", False),
        ("approver", "viewer", "fraud-1", True),
        ("viewer", "operator", "fraud-1", False),
        ("operator", "operator", "other", False),
        ("operator", "operator", None, False),
    ],
)
def test_a_token_may_what_its_role_and_models_say(
    clock: FixedClock, held: audit.Role, wanted: audit.Role, model: str | None, may: bool
) -> None:
    models = None if held == "admin" else ("fraud-*",)

    assert audit.Token("t", "ana", held, models, clock.at).may(wanted, model) is may
