# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""Everybody at once on one journal: receivers, pollers, sweeps and workers, one of them killed.

Two of the three processes hold a receiver, a poller with a sweep and a worker, each with a journal
of its own; the third is a worker that stands still with a claim in its hand, and is killed.
"""

import multiprocessing
import os
import queue
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from steward.errors import JournalUnavailableError, LeaseLostError
from steward.events import ModelRef, NewEvent
from steward.journal import claims, deliveries, dispatches, leases, readings, sweeping
from steward.journal.claims import Claimed
from steward.journal.deliveries import Delivery, News
from steward.journal.looking import ModelReading
from steward.journal.schema import attempts as attempts_table
from steward.journal.schema import deliveries as deliveries_table
from steward.journal.schema import dispatches as dispatches_table
from steward.journal.schema import models as models_table
from steward.journal.schema import observed
from steward.journal.store import Journal
from steward.ports import Done, Hint, ModelInfo, Skipped, VersionInfo, Wait
from tests.servers import eventually
from tests.unit.journal_support import (
    events_in,
    happened,
    journal_url,
    migrated_journal_file,
    open_at,
    rows_of,
)

MODELS = [ModelRef(f"m{number}") for number in range(10)]
VERSIONS = ("1", "2", "3", "4")
TAGS = {"color": "red", "size": "9"}
LEASE_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
COMMIT_SECONDS = 1.0
"""Who was created so much later may not overtake; what commits at the same time may."""
VICTIM = "victim"
T = TypeVar("T")


def facts() -> list[News]:
    """All that is true of the registry, as its webhooks tell it."""
    told = []
    for model in MODELS:
        for version in VERSIONS:
            told.append(_news("model_version.created", model, version, "exists", True))
            for key, value in TAGS.items():
                told.append(_news("model_version_tag.set", model, version, f"tag:{key}", value))
    return told


def _news(kind: str, model: ModelRef, version: str, facet: str, value: Any) -> News:
    return News(kind, "mlflow/default", model, version, version, facet, value)


def reading_of(look: readings.ModelLook, at: datetime) -> ModelReading:
    """What a poller finds when it asks for a model."""
    name = look.model.name
    versions = [
        VersionInfo(look.model, number, created_at=at, updated_at=at, tags=TAGS)
        for number in VERSIONS
    ]
    info = ModelInfo(look.model, created_at=at, updated_at=at, description=name)
    return ModelReading(look, info, versions)


@dataclass
class Site:
    """What the threads of one process share."""

    url: str
    folder: Path
    seed: int
    began: datetime
    hints: "queue.SimpleQueue[str]" = field(default_factory=queue.SimpleQueue)
    done: threading.Event = field(default_factory=threading.Event)
    told: list[str] = field(default_factory=list)
    """What went wrong."""

    def hint(self, hints: list[Hint], chance: random.Random) -> None:
        for each in hints:
            if chance.randrange(20):  # one in twenty is lost
                self.hints.put(each.dispatch_id)

    def run(self, *roles: "Callable[[Site, Journal, random.Random], None]") -> list[str]:
        threads = [threading.Thread(target=self._play, args=(role,)) for role in roles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS + 20)
        return self.told

    def _play(self, role: "Callable[[Site, Journal, random.Random], None]") -> None:
        journal = open_at(self.url)
        try:
            role(self, journal, random.Random(f"{self.seed} {role.__name__}"))  # noqa: S311
        except Exception as error:  # noqa: BLE001  # told to the test
            self.told.append(f"{role.__name__}: {error!r}")
            self.done.set()
        finally:
            journal.close()

    @contextmanager
    def alone_in(self, lane: str | None, chance: random.Random) -> Iterator[None]:
        """A file that only one can make: whoever finds it there is not alone."""
        if lane is None:
            yield
            return
        file = self.folder / lane.replace("/", "-")
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            self.told.append(f"two at once in {lane}")
        time.sleep(chance.random() / 500)  # somebody else's chance
        yield
        file.unlink(missing_ok=True)


def receive(site: Site, journal: Journal, chance: random.Random) -> None:
    """Every fact, in any order, some twice; the other receiver gets the same deliveries."""
    numbered = list(enumerate(facts()))
    arriving = [*numbered, *chance.sample(numbered, len(numbered) // 4)]
    chance.shuffle(arriving)
    while arriving:
        batch = [
            Delivery("mlflow", f"d{number}", b"{}", site.began, news)
            for number, news in (arriving.pop() for _ in range(min(len(arriving), 4)))
        ]
        _, hints = patiently(lambda batch=batch: deliveries.record(journal, batch))  # type: ignore[misc]
        site.hint(hints, chance)


def poll_and_sweep(site: Site, journal: Journal, chance: random.Random) -> None:
    """Read some models at a time, and sweep while it holds the lease, until all is done."""
    name = f"sweep{site.seed}"
    to_read = chance.sample(MODELS, len(MODELS))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not site.done.wait(0.1) and time.monotonic() < deadline:
        with suppress(JournalUnavailableError):  # the next round does it
            looks = readings.looks(journal, to_read[:3])
            found = [reading_of(look, site.began) for look in looks]
            site.hint(readings.record_models(journal, found), chance)
            to_read = to_read[3:]
            if leases.acquire(journal, "sweep", name, seconds=2):
                _, hints = sweeping.expire(journal, deaths_allowed=9)
                site.hint(hints + sweeping.due(journal), chance)
                if chance.randrange(10) == 0:
                    journal.checkpoint()
            if (site.folder / "received").exists() and not is_work_left(journal):
                site.done.set()
    patiently(lambda: leases.give_back(journal, "sweep", name))


def work(site: Site, journal: Journal, chance: random.Random) -> None:
    """Take hints, do the work of some, forget some claims, and answer for those too late."""
    forgotten: list[Claimed] = []
    while not site.done.is_set():
        with suppress(queue.Empty, JournalUnavailableError, LeaseLostError):  # the sweep sees to it
            dispatch_id = site.hints.get(timeout=0.2)
            mine = claims.claim(journal, dispatch_id, f"w{site.seed}", lease_seconds=LEASE_SECONDS)
            if mine is None:
                continue
            if chance.randrange(25) == 0 and mine.attempt == 1:
                forgotten.append(mine)
                continue
            with site.alone_in(mine.work.lane, chance):
                outcome = outcome_of(mine, chance)
            site.hint(dispatches.record(journal, mine, outcome), chance)
    for zombie in forgotten:
        try:
            patiently(lambda mine=zombie: dispatches.record(journal, mine, Skipped("too late")))  # type: ignore[misc]
        except LeaseLostError:
            continue
        site.told.append(f"{zombie.work.dispatch_id} was recorded by a zombie")


def patiently(write: Callable[[], T]) -> T:
    """Again and again, as a sender does who is told 503."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return write()
        except JournalUnavailableError:
            if time.monotonic() > deadline:
                raise


def outcome_of(mine: Claimed, chance: random.Random) -> Done | Wait:
    if mine.work.handler == "validate":
        if chance.randrange(6) == 0 and mine.attempt == 1:
            return Wait(datetime.now(UTC), "not yet")
        return Done(events=(NewEvent("model_version.validated"),))
    if mine.work.handler == "promote":
        return Done(events=(NewEvent("work.told"),))
    return Done()


def stand_still(site: Site, journal: Journal, chance: random.Random) -> None:
    """Claim what there is and never let go."""
    [row] = rows_of(journal, dispatches_table)
    mine = claims.claim(journal, row.id, VICTIM, lease_seconds=LEASE_SECONDS)
    assert mine is not None
    (site.folder / VICTIM).touch()
    threading.Event().wait()


def is_work_left(journal: Journal) -> bool:
    with journal.read() as connection:
        is_open = dispatches_table.c.state.in_(["pending", "running"])
        query = select(dispatches_table.c.id).where(is_open)
        return connection.execute(query.limit(1)).first() is not None


def _serve(url: str, folder: str, seed: int, began: datetime, answers: Any) -> None:
    site = Site(url, Path(folder), seed, began)
    answers.put(site.run(receive, poll_and_sweep, work))


def _be_the_victim(url: str, folder: str, began: datetime) -> None:
    Site(url, Path(folder), 9, began).run(stand_still)


def test_with_everybody_at_once_each_thing_happens_once_and_in_order(
    journal_url: str, tmp_path: Path
) -> None:
    journal = open_at(journal_url)
    began = datetime.now(UTC)
    context = multiprocessing.get_context("spawn")
    answers = [context.SimpleQueue() for _ in range(2)]
    folder = tmp_path / "lanes"
    folder.mkdir()
    servers = [
        context.Process(target=_serve, args=(journal_url, str(folder), seed, began, answers[seed]))
        for seed in range(2)
    ]
    victim = context.Process(target=_be_the_victim, args=(journal_url, str(folder), began))

    happened(journal, "work.production", model=MODELS[0])
    victim.start()
    eventually((folder / VICTIM).exists, PATIENCE_SECONDS)
    os.kill(victim.pid, signal.SIGKILL)
    for process in servers:
        process.start()
    eventually(lambda: len(rows_of(journal, deliveries_table)) == len(facts()), PATIENCE_SECONDS)
    (folder / "received").touch()
    told = [answer.get() for answer in answers]
    for process in (victim, *servers):
        process.join(20)

    assert told == [[], []]
    assert_each_fact_is_known_once(journal)
    assert_each_dispatch_ended_once(journal)
    assert_nobody_overtook(journal)
    assert leases.holders(journal) == {}
    assert VICTIM in {row.owner for row in rows_of(journal, attempts_table)}
    journal.close()


def assert_each_fact_is_known_once(journal: Journal) -> None:
    told = Counter(
        (event.type, event.model, event.version, event.after)
        for event in events_in(journal, "model_version.created", "model_version_tag.set")
    )
    created = {key[1:3] for key in told if key[0] == "model_version.created"}
    known = {
        (row.model_id, row.subject, row.facet): row.value
        for row in rows_of(journal, observed)
        if row.subject and row.facet.startswith(("tag:", "exists"))
    }

    assert {key: count for key, count in told.items() if count > 1} == {}
    assert created == {(model, version) for model in MODELS for version in VERSIONS}
    assert len(rows_of(journal, models_table)) == len(MODELS)
    assert len(known) == len(facts())
    assert all(value in (True, *TAGS.values()) for value in known.values())
    kept = [row.delivery_id for row in rows_of(journal, deliveries_table)]
    assert sorted(kept) == sorted(f"d{number}" for number in range(len(facts())))


def assert_each_dispatch_ended_once(journal: Journal) -> None:
    rows = rows_of(journal, dispatches_table)
    ends = [row for row in rows_of(journal, attempts_table) if row.outcome == "succeeded"]

    assert {row.state for row in rows} == {"succeeded"}
    assert {(row.owner, row.lease_until) for row in rows} == {(None, None)}
    assert sorted(end.dispatch_id for end in ends) == sorted(row.id for row in rows)
    by_handler = Counter(row.handler for row in rows)
    count = len(MODELS) * len(VERSIONS)
    assert by_handler["validate"] == count
    assert by_handler["promote"] == by_handler["notify"] == count + 1  # what the victim held


def assert_nobody_overtook(journal: Journal) -> None:
    rows = {row.id: row for row in rows_of(journal, dispatches_table)}
    in_order = defaultdict(list)
    for end in rows_of(journal, attempts_table):
        if end.outcome == "succeeded" and rows[end.dispatch_id].lane:
            in_order[rows[end.dispatch_id].lane].append(rows[end.dispatch_id].created_at)

    assert len(in_order) == len(MODELS)
    for created in in_order.values():
        for earlier, later in pairwise(created):
            assert (earlier - later).total_seconds() < COMMIT_SECONDS
