# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""Several processes do the same thing at the same moment: it is done once, and nobody fails."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from steward.events import ModelRef
from steward.journal import (
    claims,
    commands,
    deliveries,
    fleet,
    policies,
    readings,
    replay,
    sweeping,
)
from steward.journal.claims import Claimed
from steward.journal.dispatches import record
from steward.journal.ledger import JournalLedger
from steward.journal.looking import ModelReading
from steward.journal.schema import dispatches, models, pauses, replicas
from steward.journal.store import Journal
from steward.policy import PolicySet
from steward.ports import Done, ModelInfo
from tests.servers import ROOT
from tests.unit.journal_support import (
    FRAUD,
    begin_before,
    claimed,
    dispatched,
    events_in,
    finish,
    journal_url,
    kept_deliveries,
    migrated_journal_file,
    open_at,
    rows_of,
    version_created,
)

BUILT_IN = ROOT / "steward" / "policy" / "built_in.yaml"
ROUNDS = 5
MODELS = [ModelRef(f"m{number}") for number in range(6)]


@pytest.fixture
def several(journal_url: str) -> Any:
    """Journals of processes of their own, as far as the database can tell."""
    journals = [open_at(journal_url) for _ in range(3)]
    yield journals
    for journal in journals:
        journal.close()


def at_once(*actions: Callable[[], object]) -> None:
    """Do all of it at the same moment; an error of one is the test's."""
    together = threading.Barrier(len(actions))
    errors: list[BaseException] = []

    def act(action: Callable[[], object]) -> None:
        try:
            together.wait(10)
            action()
        except Exception as error:  # noqa: BLE001  # told below
            errors.append(error)

    threads = [threading.Thread(target=act, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []


def test_a_delivery_that_several_receivers_take_is_one_event(several: list[Journal]) -> None:
    now = datetime.now(UTC)
    for number in range(ROUNDS):
        delivery = version_created(str(number), at=now, id=f"d{number}")
        at_once(*(partial(deliveries.record, journal, [delivery]) for journal in several))

    assert len(events_in(several[0], "model_version.created")) == ROUNDS
    assert len(kept_deliveries(several[0])) == ROUNDS


def test_a_policy_file_that_several_processes_read_is_put_in_force_once(
    several: list[Journal],
) -> None:
    for number in range(ROUNDS):
        policy = PolicySet.parse(BUILT_IN.read_text().replace("0.85", f"0.{number + 1}"))
        at_once(*(partial(policies.activate, journal, policy, file="p") for journal in several))

    assert len(events_in(several[0], "policy.changed")) == ROUNDS


def test_a_pause_that_several_people_ask_for_is_one(several: list[Journal]) -> None:
    for _ in range(ROUNDS):
        at_once(
            *(partial(commands.pause, each, FRAUD, actor="ana", reason="r") for each in several)
        )

    assert len(rows_of(several[0], pauses)) == 1


def test_a_replay_that_several_people_ask_for_makes_no_dispatch_twice(
    several: list[Journal],
) -> None:
    first, *_ = several
    finish(first, dispatched(first, "work.free"))
    with first.write() as transaction:  # as if its handler had come with this version
        transaction.connection.execute(dispatches.update().values(handler="older"))
    chosen = events_in(first, "work.free")
    asked: dict[str, Any] = {"handlers": None, "mode": "all", "actor": "ana", "reason": ""}

    at_once(*(partial(replay.apply, journal, chosen, **asked) for journal in several))

    assert sorted(row.handler for row in rows_of(first, dispatches)) == ["free", "older"]


def test_heartbeats_that_several_receivers_write_in_any_order_are_all_kept(
    several: list[Journal],
) -> None:
    for number in range(ROUNDS):
        beats = [
            fleet.Heartbeat(f"r{n}", FRAUD, "http://r", "1", number, "ready", "b", None, None)
            for n in range(number * 10 + 10)
        ]
        at_once(
            *(
                partial(fleet.record_heartbeats, journal, beats[::order])
                for journal, order in zip(several, (1, -1, 1), strict=True)
            )
        )

    assert len(rows_of(several[0], replicas)) == ROUNDS * 10


def test_readers_and_receivers_of_the_same_models_never_lock_each_other_out(
    several: list[Journal],
) -> None:
    now = datetime.now(UTC)
    begin_before(several[0], now)

    def read(journal: Journal, refs: list[ModelRef]) -> None:
        looks = readings.looks(journal, refs)
        found = [ModelReading(look, ModelInfo(look.model, now, now), ()) for look in looks]
        readings.record_models(journal, found)

    def receive(journal: Journal, refs: list[ModelRef], number: int) -> None:
        plain = version_created("1", at=now, id=f"{number}")
        assert plain.news is not None
        batch = [
            replace(
                plain,
                delivery_id=f"{number} {ref.name}",
                news=replace(plain.news, model=ref, version=str(number), subject=str(number)),
            )
            for ref in refs
        ]
        deliveries.record(journal, batch)

    one, two, three = several
    for number in range(ROUNDS):
        at_once(
            partial(read, one, MODELS),
            partial(read, two, MODELS[::-1]),
            partial(receive, three, MODELS[3:] + MODELS[:3], number),
        )

    assert len(events_in(one, "model_version.created")) == ROUNDS * len(MODELS)
    assert sorted(row.name for row in rows_of(one, models)) == [ref.name for ref in MODELS]


def test_what_several_workers_claim_one_gets(several: list[Journal]) -> None:
    for _ in range(ROUNDS):
        dispatch_id = dispatched(several[0], "work.production")
        got: list[Claimed | None] = []

        def take(journal: Journal, wanted: str, got: list[Claimed | None]) -> None:
            got.append(claims.claim(journal, wanted, "w", lease_seconds=60))

        at_once(*(partial(take, journal, dispatch_id, got) for journal in several))

        [mine] = [each for each in got if each is not None]
        record(several[0], mine, Done())  # its lane is free again


def test_what_several_sweeps_find_due_is_hinted_by_one(several: list[Journal]) -> None:
    ids = {dispatched(several[0], "work.free") for _ in range(20)}
    with several[0].write() as transaction:
        past = transaction.now - timedelta(minutes=1)
        transaction.connection.execute(dispatches.update().values(hint_at=past))
    hinted: list[str] = []

    def sweep(journal: Journal) -> None:
        hinted.extend(hint.dispatch_id for hint in sweeping.due(journal))

    at_once(*(partial(sweep, journal) for journal in several))

    assert sorted(hinted) == sorted(ids)


def ledgers(journals: list[Journal], *versions: str) -> list[JournalLedger]:
    """One for each version, each of a dispatch in a process of its own."""
    works = [dispatched(journals[0], "work.free", version=version) for version in versions]
    return [
        JournalLedger(journal, claimed(journal, work))
        for journal, work in zip(journals, works, strict=False)
    ]


def use(ledger: JournalLedger, version: str, digest: str, counts: list[int]) -> None:
    counts.append(ledger.use_holdout(FRAUD, version, digest))


def test_versions_that_are_decided_on_by_the_same_rows_at_once_are_all_counted(several: Any):
    for number in range(ROUNDS):
        digest = str(number) * 64
        counts: list[int] = []
        uses = zip(ledgers(several, "1", "2", "3"), ("1", "2", "3"), strict=True)

        at_once(*(partial(use, ledger, version, digest, counts) for ledger, version in uses))

        assert sorted(counts) == [1, 2, 3]


def test_one_version_that_is_decided_on_twice_at_once_is_counted_once(several: Any):
    for number in range(ROUNDS):
        digest = str(number) * 64
        counts: list[int] = []

        both = ledgers(several, "1", "1")
        at_once(*(partial(use, ledger, "1", digest, counts) for ledger in both))

        assert counts == [1, 1]
