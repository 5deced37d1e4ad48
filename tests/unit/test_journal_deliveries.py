# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
from datetime import timedelta

import pytest

from steward.events import ModelRef
from steward.journal import deliveries, dispatches, readings, sweeping
from steward.journal.deliveries import Delivery, News, Receipt
from steward.journal.ledger import JournalLedger
from steward.journal.schema import observed
from steward.journal.store import Journal
from steward.ports import Done, Intent, ModelInfo, VersionInfo, Wait
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    alias_set,
    begin_before,
    claimed,
    delivered,
    dispatched,
    event,
    events_in,
    finish,
    journal,
    journal_url,
    kept_deliveries,
    migrated_journal_file,
    row_of,
    rows_of,
    tag_set,
    version_created,
)

# --- what a delivery is answered ------------------------------------------------------------------


def test_news_is_an_event_with_before_and_after_and_a_dispatch(
    journal: Journal, clock: FixedClock
) -> None:
    delivered(journal, version_created(at=clock.at, id="d0"))
    delivered(journal, tag_set("a", at=clock.at, id="d1"))

    [receipt], hints = deliveries.record(journal, [tag_set("b", at=clock.advance(1), id="d2")])

    assert not receipt.duplicate
    told = event(journal, receipt.event_id)
    assert (told.type, told.before, told.after) == ("model_version_tag.set", "a", "b")
    assert (told.occurred_at, told.seen_by, told.version) == (clock.at, "webhook", "1")
    assert [(hint.handler, hint.queue) for hint in hints] == [("look", "default")]


def test_the_same_delivery_again_is_answered_with_its_first_event(
    journal: Journal, clock: FixedClock
) -> None:
    [first] = delivered(journal, version_created(at=clock.at, id="d1"))

    [again] = delivered(journal, version_created(at=clock.at, id="d1"))

    assert again == Receipt(first.event_id, duplicate=True)
    assert len(kept_deliveries(journal)) == 1


def test_the_same_delivery_twice_in_one_batch_is_kept_once(
    journal: Journal, clock: FixedClock
) -> None:
    twice = version_created(at=clock.at, id="d1")

    first, again = delivered(journal, twice, twice)

    assert (first.event_id, again.duplicate) == (again.event_id, True)
    assert len(kept_deliveries(journal)) == len(events_in(journal)) == 1


def test_delivery_ids_of_different_senders_do_not_meet(journal: Journal, clock: FixedClock) -> None:
    ours = version_created("1", at=clock.at, id="d1")
    theirs = version_created("2", at=clock.at, id="d1")
    theirs = Delivery("standard", theirs.delivery_id, theirs.body, theirs.sent_at, theirs.news)

    first, second = delivered(journal, ours, theirs)

    assert (first.duplicate, second.duplicate) == (False, False)


def test_an_equal_value_joins_the_event_that_told_it(journal: Journal, clock: FixedClock) -> None:
    [first] = delivered(journal, version_created(at=clock.at, id="d1"))

    [second] = delivered(journal, version_created(at=clock.at, id="d2"))

    assert second == Receipt(first.event_id, duplicate=True)
    assert [row.outcome for row in kept_deliveries(journal)] == ["event", "duplicate"]
    assert {row.event_id for row in kept_deliveries(journal)} == {first.event_id}


def test_there_and_back_is_three_events(journal: Journal, clock: FixedClock) -> None:
    delivered(journal, version_created(at=clock.at, id="d0"))

    for number, value in enumerate(["a", "b", "a"]):
        delivered(journal, tag_set(value, at=clock.advance(1), id=f"t{number}"))

    changes = events_in(journal, "model_version_tag.set")
    assert [(each.before, each.after) for each in changes] == [
        (None, "a"),
        ("a", "b"),
        ("b", "a"),
    ]


def test_one_batch_may_hold_the_same_facet_several_times(
    journal: Journal, clock: FixedClock
) -> None:
    batch = [
        tag_set(value, at=clock.at, id=f"t{number}")
        for number, value in enumerate(["a", "a", "b", "a", None, None])
    ]

    receipts = delivered(journal, version_created(at=clock.at, id="d0"), *batch)[1:]

    assert [receipt.duplicate for receipt in receipts] == [False, True, False, False, False, True]
    assert receipts[0].event_id == receipts[1].event_id
    assert receipts[4].event_id == receipts[5].event_id
    assert [(each.before, each.after) for each in events_in(journal)[1:]] == [
        (None, "a"),
        ("a", "b"),
        ("b", "a"),
        ("a", None),
    ]


def test_several_models_come_in_one_batch(journal: Journal, clock: FixedClock) -> None:
    def created(name: str) -> Delivery:
        model = ModelRef(name)
        news = News("registered_model.created", "mlflow/default", model, None, "", "exists", True)
        return Delivery("mlflow", f"d-{name}", b"{}", clock.at, news)

    names = ["zebra", "ant", "zebra", "mole"]
    receipts = delivered(journal, *(created(name) for name in names))

    assert [event(journal, receipt.event_id).model for receipt in receipts] == [
        ModelRef(name) for name in names
    ]


def test_the_same_name_in_another_registry_or_workspace_is_another_model(
    journal: Journal, clock: FixedClock
) -> None:
    refs = [FRAUD, ModelRef("fraud", "other"), ModelRef("fraud", "default", "team-a")]

    for number, ref in enumerate(refs):
        news = News("model_version.created", "mlflow", ref, "1", "1", "exists", True)
        delivered(journal, Delivery("mlflow", f"d{number}", b"{}", clock.at, news))

    assert [each.model for each in events_in(journal)] == refs


def test_what_hangs_on_no_facet_is_journalled_each_time(
    journal: Journal, clock: FixedClock
) -> None:
    news = News("prompt.created", "mlflow/default", None, None, data={"name": "p"})

    first, second = delivered(
        journal,
        Delivery("mlflow", "d1", b"{}", clock.at, news),
        Delivery("mlflow", "d2", b"{}", clock.at, news),
    )

    assert first.event_id != second.event_id
    assert event(journal, first.event_id).data == {"name": "p"}


def test_a_test_delivery_is_kept_and_tells_nothing(journal: Journal, clock: FixedClock) -> None:
    [receipt] = delivered(journal, Delivery("mlflow", "d1", b"{}", clock.at, None))

    assert receipt == Receipt(None, duplicate=True)
    assert [row.outcome for row in kept_deliveries(journal)] == ["test"]
    assert events_in(journal) == []


def test_a_refused_body_is_kept_with_its_reason_once(journal: Journal, clock: FixedClock) -> None:
    refused = Delivery("mlflow", "d1", b"not json \xff", clock.at, None)

    deliveries.refuse(journal, refused, "not JSON")
    deliveries.refuse(journal, refused, "not JSON")

    [row] = kept_deliveries(journal)
    assert (row.outcome, row.reason, row.body) == ("refused", "not JSON", b"not json \xff")
    assert row.event_id is None


# --- seeds, aliases -------------------------------------------------------------------------------


def test_a_creation_seeds_the_facets_it_carries(journal: Journal, clock: FixedClock) -> None:
    created = version_created(at=clock.at, id="d1", tags={"k": "a"}, description="good")
    [first] = delivered(journal, created)

    [tag] = delivered(journal, tag_set("a", at=clock.advance(1), id="d2"))

    assert tag == Receipt(first.event_id, duplicate=True)
    values = {row.facet: row.value for row in rows_of(journal, observed)}
    assert values == {"exists": True, "tag:k": "a", "description": "good", "stage": "None"}


def test_a_creation_that_comes_after_its_tag_leaves_the_tag_alone(
    journal: Journal, clock: FixedClock
) -> None:
    [tag] = delivered(journal, tag_set("b", at=clock.at, id="d1"))

    delivered(journal, version_created(at=clock.at, id="d2", tags={"k": "a"}))

    values = {row.facet: (row.value, row.event_id) for row in rows_of(journal, observed)}
    assert values["tag:k"] == ("b", tag.event_id)


def test_a_deleted_alias_names_the_version_it_pointed_to(
    journal: Journal, clock: FixedClock
) -> None:
    delivered(journal, alias_set("7", at=clock.at, id="d1"))

    [receipt] = delivered(journal, alias_set(None, at=clock.advance(1), id="d2"))

    told = event(journal, receipt.event_id)
    assert (told.type, told.before, told.after) == ("model_version_alias.deleted", "7", None)
    assert told.version == "7"


def test_deleting_what_never_was_is_no_event(journal: Journal, clock: FixedClock) -> None:
    [alias] = delivered(journal, alias_set(None, at=clock.at, id="d1"))
    [tag] = delivered(journal, tag_set(None, at=clock.at, id="d2"))

    assert alias == tag == Receipt(None, duplicate=True)
    assert events_in(journal) == []


# --- together with readers ------------------------------------------------------------------------


def read_whole(
    journal: Journal,
    clock: FixedClock,
    *,
    tags: dict[str, str] | None = None,
    look: readings.ModelLook | None = None,
) -> None:
    """A poll of the one model, with version 1 and these tags."""
    look = look or readings.look(journal, FRAUD)
    info = ModelInfo(FRAUD, clock.at, clock.at)
    version = VersionInfo(FRAUD, "1", clock.at, clock.at, tags=tags or {})
    readings.record_models(journal, [readings.ModelReading(look, info, [version])])


def test_news_older_than_what_a_reader_vouches_for_is_filed(
    journal: Journal, clock: FixedClock
) -> None:
    begin_before(journal, clock.at)
    delivered(journal, version_created(at=clock.at, id="d0"))
    sent_at = clock.advance(1)
    clock.advance(10)
    read_whole(journal, clock, tags={"k": "new"})
    [told] = events_in(journal, "model_version_tag.set")

    [late] = delivered(journal, tag_set("old", at=sent_at, id="d1"))

    assert late == Receipt(told.id, duplicate=True)
    assert len(events_in(journal, "model_version_tag.set")) == 1


def test_news_younger_than_the_reading_is_an_event(journal: Journal, clock: FixedClock) -> None:
    begin_before(journal, clock.at)
    delivered(journal, version_created(at=clock.at, id="d0"))
    read_whole(journal, clock, tags={"k": "a"})

    [young] = delivered(journal, tag_set("b", at=clock.advance(1), id="d1"))

    assert not young.duplicate


def test_what_the_poll_saw_first_is_seen_by_both_when_its_webhook_comes(
    journal: Journal, clock: FixedClock
) -> None:
    begin_before(journal, clock.at)
    read_whole(journal, clock)
    [created] = events_in(journal, "model_version.created")
    assert created.seen_by == "poll"

    [receipt] = delivered(journal, version_created(at=clock.at, id="d1"))

    assert receipt == Receipt(created.id, duplicate=True)
    assert event(journal, created.id).seen_by == "both"


def test_what_a_webhook_told_first_is_seen_by_both_when_the_poll_comes(
    journal: Journal, clock: FixedClock
) -> None:
    begin_before(journal, clock.at)
    [receipt] = delivered(journal, version_created(at=clock.at, id="d1"))

    read_whole(journal, clock)

    assert event(journal, receipt.event_id).seen_by == "both"
    assert len(events_in(journal, "model_version.created")) == 1


def test_a_reader_leaves_alone_what_changed_while_it_read(
    journal: Journal, clock: FixedClock
) -> None:
    begin_before(journal, clock.at)
    delivered(journal, version_created(at=clock.at, id="d0"))
    delivered(journal, tag_set("a", at=clock.at, id="d1"))
    look = readings.look(journal, FRAUD)
    delivered(journal, tag_set("b", at=clock.advance(1), id="d2"))

    read_whole(journal, clock, tags={"k": "a"}, look=look)

    assert [each.after for each in events_in(journal, "model_version_tag.set")] == ["a", "b"]


def test_news_of_what_was_before_the_journal_has_no_event(
    journal: Journal, clock: FixedClock
) -> None:
    clock.advance(-3600)  # the model is older than the installation
    read_whole(journal, clock, tags={"k": "a"})

    [receipt] = delivered(journal, version_created(at=clock.at, id="d1"))

    assert receipt == Receipt(None, duplicate=True)
    assert [row.outcome for row in kept_deliveries(journal)] == ["history"]
    assert events_in(journal) == []


# --- our own writes -------------------------------------------------------------------------------


def intended(journal: Journal, *intents: Intent):
    """A running dispatch that has committed these intents."""
    mine = claimed(journal, dispatched(journal, "work.production"))
    JournalLedger(journal, mine).intend(intents)
    return mine


def test_a_change_that_we_intended_is_ours_and_wakes_nobody(
    journal: Journal, clock: FixedClock
) -> None:
    delivered(journal, version_created(at=clock.at, id="d0"))
    mine = intended(journal, Intent(FRAUD, "", "alias:best", "1"))

    [receipt], hints = deliveries.record(journal, [alias_set("1", at=clock.at, id="d1")])

    own = event(journal, receipt.event_id)
    assert (own.seen_by, own.caused_by) == ("self", mine.event.id)
    assert hints == []


def test_an_intent_excuses_one_change_only(journal: Journal, clock: FixedClock) -> None:
    delivered(journal, version_created(at=clock.at, id="d0"))
    intended(journal, Intent(FRAUD, "", "alias:best", "1"))

    seen = []
    for number, version in enumerate(["1", "2", "1"]):
        [receipt] = delivered(journal, alias_set(version, at=clock.at, id=f"a{number}"))
        seen.append(event(journal, receipt.event_id).seen_by)

    assert seen == ["self", "webhook", "webhook"]


def test_another_value_than_the_intended_is_news(journal: Journal, clock: FixedClock) -> None:
    intended(journal, Intent(FRAUD, "", "alias:best", "1"))

    [receipt], hints = deliveries.record(journal, [alias_set("2", at=clock.at, id="a")])

    assert event(journal, receipt.event_id).seen_by == "webhook"
    assert [hint.handler for hint in hints] == ["confirm"]


@pytest.mark.parametrize(("minutes", "seen_by"), [(9, "self"), (11, "webhook")])
def test_our_own_write_is_recognised_for_ten_minutes_after_its_dispatch(
    journal: Journal, clock: FixedClock, minutes: int, seen_by: str
) -> None:
    mine = intended(journal, Intent(FRAUD, "", "alias:best", "1"))
    dispatches.record(journal, mine, Done())

    clock.advance(minutes * 60)
    [receipt] = delivered(journal, alias_set("1", at=clock.at, id="a"))

    assert event(journal, receipt.event_id).seen_by == seen_by


def test_the_intent_of_a_dead_dispatch_does_not_excuse_a_person_for_ever(
    journal: Journal, clock: FixedClock
) -> None:
    mine = intended(journal, Intent(FRAUD, "", "alias:best", "1"))
    dispatches.fail(journal, mine, "the registry is away", retry_in_seconds=None)

    clock.advance(30 * 24 * 3600)
    [receipt], hints = deliveries.record(journal, [alias_set("1", at=clock.at, id="a")])

    assert event(journal, receipt.event_id).seen_by == "webhook"
    assert [hint.handler for hint in hints] == ["confirm"]


def test_a_read_back_that_shows_our_write_is_ours_and_another_hand_s_is_not(
    journal: Journal, clock: FixedClock
) -> None:
    mine = intended(
        journal, Intent(FRAUD, "", "alias:best", "1"), Intent(FRAUD, "1", "stage", "Production")
    )
    look = readings.look(journal, FRAUD)
    clock.advance(1)
    raced = look.reading("", "alias:best", "9")  # a person moved it just after us
    ours = look.reading("1", "stage", "Production")

    hints = dispatches.record(journal, mine, Done(readings=(raced, ours)))

    seen = {each.type: each.seen_by for each in events_in(journal)[1:]}
    assert seen["model_version.transitioned_stage"] == "self"
    assert seen["model_version_alias.created"] == "poll"
    assert [hint.handler for hint in hints] == ["confirm"]


def test_a_webhook_of_our_own_write_joins_the_read_back(
    journal: Journal, clock: FixedClock
) -> None:
    mine = intended(journal, Intent(FRAUD, "", "alias:best", "1"))
    back = readings.look(journal, FRAUD).reading("", "alias:best", "1")
    dispatches.record(journal, mine, Done(readings=(back,)))
    [own] = events_in(journal, "model_version_alias.created")

    [receipt] = delivered(journal, alias_set("1", at=clock.at, id="a"))

    assert receipt == Receipt(own.id, duplicate=True)
    assert event(journal, own.id).seen_by == "self"


def test_news_wakes_what_waits_for_its_version_and_our_own_write_does_not(
    journal: Journal, clock: FixedClock
) -> None:
    _, [hint] = deliveries.record(journal, [version_created(at=clock.at, id="d0")])
    later = clock.at + timedelta(hours=1)
    finish(journal, hint.dispatch_id, Wait(later, "waiting for a tag", check_seconds=600))
    intended(journal, Intent(FRAUD, "1", "tag:steward.verdict", "waiting"))

    clock.advance(1)
    delivered(journal, tag_set("waiting", at=clock.at, id="d1", key="steward.verdict"))
    assert row_of(journal, hint.dispatch_id).due_at > clock.at

    _, hints = deliveries.record(journal, [tag_set("x", at=clock.at, id="d2")])
    assert row_of(journal, hint.dispatch_id).due_at == clock.at
    assert hint.dispatch_id in {each.dispatch_id for each in hints}


def test_nothing_of_a_batch_is_kept_when_one_part_cannot_be_written(
    journal: Journal, clock: FixedClock
) -> None:
    with pytest.raises(Exception, match="surrogates"):
        delivered(
            journal,
            version_created(at=clock.at, id="d0"),
            tag_set("\ud800", at=clock.at, id="d1"),
        )

    assert events_in(journal) == []
    assert kept_deliveries(journal) == []


def test_the_intent_of_a_worker_that_died_is_closed_with_its_dispatch(
    journal: Journal, clock: FixedClock
) -> None:
    intended(journal, Intent(FRAUD, "", "alias:best", "1"))
    clock.advance(61)
    sweeping.expire(journal, deaths_allowed=1)

    clock.advance(3600)
    [receipt] = delivered(journal, alias_set("1", at=clock.at, id="a"))

    assert event(journal, receipt.event_id).seen_by == "webhook"
