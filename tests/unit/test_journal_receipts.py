# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""Receipts in the journal: one for each decision, in its transaction, chained for each model."""

import json
import threading
from typing import Any

import pytest

from steward.errors import LeaseLostError
from steward.events import ModelRef, NewEvent
from steward.journal import claims, dispatches, policies, receipts, verdicts
from steward.journal.receipts import Kept
from steward.journal.schema import events as events_table
from steward.journal.store import TRANSACTIONS, Journal, retried
from steward.journal.writing import EventWriter
from steward.policy import PolicySet
from steward.ports import Done
from steward.receipts import check, hash_of, line_of
from tests.fakes import FixedClock
from tests.unit.journal_support import (
    FRAUD,
    claimed,
    delivered,
    dispatched,
    events_in,
    finish,
    journal,
    journal_url,
    migrated_journal_file,
    open_at,
    row_of,
    version_created,
)

HELD = NewEvent("promotion.held", data={"verdict": "held", "reasons": ["0.81 is not enough"]})


def decided(journal: Journal, event: NewEvent = HELD, *, version: str = "1") -> None:
    """Record a decision as a worker does: as what a handler returned."""
    finish(journal, dispatched(journal, "work.free", version=version), Done((event,)))


def kept(journal: Journal, model: ModelRef = FRAUD, version: str | None = None) -> list[Kept]:
    with journal.read() as connection:
        return receipts.page(connection, model, version=version, after=0, limit=500)


def documents(journal: Journal) -> list[dict[str, Any]]:
    return [json.loads(each.text) for each in kept(journal)]


def exported(journal: Journal) -> bytes:
    """The chain as a file."""
    found = kept(journal)
    with journal.read() as connection:
        texts = receipts.policy_texts(connection, [each.policy_hash for each in found])
    return b"".join(
        line_of(each.hash, json.loads(each.text), texts.get(each.policy_hash or ""))
        for each in found
    )


def test_a_decision_has_a_receipt(journal: Journal):
    decided(journal)

    [receipt] = documents(journal)
    [event] = events_in(journal, "promotion.held")
    assert receipt["event"]["id"] == event.id
    assert receipt["decision"] == {"verdict": "held", "reasons": ["0.81 is not enough"]}
    assert (receipt["model"], receipt["version"], receipt["sequence"]) == ("fraud", "1", 1)
    assert receipt["cause"]["type"] == "work.free"
    assert kept(journal)[0].hash == hash_of(receipt)


def test_what_is_no_decision_has_none(journal: Journal):
    decided(journal, NewEvent("model_version.validated"))

    assert kept(journal) == []


def test_each_receipt_names_the_one_before_it(journal: Journal):
    for _ in range(3):
        decided(journal)

    hashes = [each.hash for each in kept(journal)]
    assert [each["previous"] for each in documents(journal)] == [None, *hashes[:2]]
    assert [each["sequence"] for each in documents(journal)] == [1, 2, 3]
    assert check(exported(journal), head=hashes[-1]).is_sound


def test_two_decisions_of_one_outcome_are_two_receipts(journal: Journal):
    work = dispatched(journal, "work.free", version="1")

    finish(journal, work, Done((HELD, NewEvent("model_version.rejected"))))

    first, second = kept(journal)
    assert json.loads(second.text)["previous"] == first.hash


def test_each_model_has_its_own_chain(journal: Journal):
    decided(journal)
    churn = ModelRef("churn")
    decided(journal, NewEvent("promotion.held", churn, "4"))

    assert [each.sequence for each in kept(journal)] == [1]
    assert [each.sequence for each in kept(journal, churn)] == [1]


def test_a_receipt_is_no_transaction_of_its_own(journal: Journal):
    work = dispatched(journal, "work.free", version="1")
    mine = claimed(journal, work)
    before = TRANSACTIONS._value.get()

    dispatches.record(journal, mine, Done((HELD,)))

    assert TRANSACTIONS._value.get() == before + 1


def test_a_decision_that_is_not_recorded_has_no_receipt(journal: Journal, clock: FixedClock):
    mine = claimed(journal, dispatched(journal, "work.free", version="1"))
    dispatches.release(journal, mine)

    with pytest.raises(LeaseLostError):
        dispatches.record(journal, mine, Done((HELD,)))

    assert kept(journal) == []


def test_the_policy_is_the_one_that_the_decision_names(journal: Journal):
    old = PolicySet.built_in()
    policies.activate(journal, old, file="old.yaml")
    policies.activate(journal, PolicySet.observe_only(), file="new.yaml")

    decided(journal, NewEvent("promotion.held", data={"policy": f"default@{old.hash[:12]}"}))

    [receipt] = documents(journal)
    assert receipt["policy"] == {"ref": f"default@{old.hash[:12]}", "hash": old.hash}
    assert check(exported(journal)).is_sound
    assert json.loads(exported(journal))["policy_text"] == old.text


def test_a_decision_that_names_no_policy_was_made_under_the_one_in_force(journal: Journal):
    policies.activate(journal, PolicySet.built_in(), file="p.yaml")

    decided(journal, NewEvent("model_version.rolled_back"))

    assert documents(journal)[0]["policy"] == {"ref": None, "hash": PolicySet.built_in().hash}


def test_numbers_that_json_cannot_hold_stop_no_decision(journal: Journal):
    decided(journal, NewEvent("promotion.held", data={"rows": 2**60, "gain": 0.1 + 0.2}))

    assert documents(journal)[0]["decision"] == {"rows": str(2**60), "gain": 0.30000000000000004}
    assert check(exported(journal)).is_sound


def test_the_standing_verdict_names_its_receipt(journal: Journal):
    decided(journal)

    with journal.read() as connection:
        verdict = verdicts.standing_verdict(connection, FRAUD, "1")

    assert verdict is not None
    assert verdict.receipt == kept(journal)[0].hash


def test_receipts_of_one_version_are_asked_for_alone(journal: Journal):
    decided(journal, version="1")
    decided(journal, version="2")

    assert [each.sequence for each in kept(journal, version="2")] == [2]


def test_the_first_digits_find_a_receipt(journal: Journal):
    decided(journal)
    [only] = kept(journal)

    with journal.read() as connection:
        assert receipts.beginning_with(connection, only.hash[:8]) == [only]
        assert receipts.beginning_with(connection, only.hash) == [only]
        assert receipts.beginning_with(connection, "0" * 63 + "1") == []


def test_decisions_at_once_are_one_chain(journal_url: str, journal: Journal, clock: FixedClock):
    delivered(journal, version_created("1", at=clock.at, id="d1"))
    each_writes, threads = 5, 3
    start = threading.Barrier(threads)

    @retried
    def write(other: Journal) -> None:
        with other.write() as transaction:
            writer = EventWriter(other, transaction)
            writer.add(NewEvent("promotion.held", FRAUD, "1"), seen=0)
            writer.flush()

    def work() -> None:
        other = open_at(journal_url, clock)
        start.wait(20)
        for _ in range(each_writes):
            write(other)
        other.close()

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)

    assert [each.sequence for each in kept(journal)] == [*range(1, each_writes * threads + 1)]
    assert check(exported(journal)).is_sound
