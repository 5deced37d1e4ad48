"""Fault 30: thousands of dispatches are due at once and thousands are replayed, amid live traffic.

What is new is begun as soon as without them, the replay keeps to its rate and stops when it is
cancelled, and memory stays as it was. Scaled: 20,000 events in the journal (of 50,000), 500 of
them due, 2,000 replayed (of 10,000).
"""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, func, select

from steward.events import uuid7
from steward.journal.bulk import insert_many
from steward.journal.schema import attempts, dispatches, events
from tests.acceptance.faults.invariants import assert_sound, rows
from tests.acceptance.faults.looking import journal_of
from tests.acceptance.faults.site import Site
from tests.acceptance.faults.traffic import Traffic
from tests.servers import MlflowServer, eventually

DONE, DEAD, DUE = 17_500, 2_000, 500
RATE = 40
ALONE_SECONDS = REPLAY_SECONDS = 8
CANCELLED_WITHIN_SECONDS = 5
SHORTEST_TOLD_SECONDS = 1.0
"""Below this, two measurements of a 99th percentile say nothing about each other."""
MEGABYTE = 2**20
FLAT_MEGABYTES = 40
"""As much may be gained by a process that sees its first thousands of events."""


@pytest.fixture
def full_site(faults_mlflow: MlflowServer, tmp_path: Path, name: str) -> Iterator[Site]:
    """A site with a long past, part of which died."""
    with Site(tmp_path / "site", faults_mlflow).running() as site:
        with journal_of(site) as engine:
            seed(engine, f"{name}-done", "succeeded", DONE)
            seed(engine, f"{name}-dead", "dead", DEAD)
        yield site


def test_30_backlog_and_replay_under_traffic(full_site: Site, name: str) -> None:
    site, alone, beside = full_site, f"{name}-alone", f"{name}-beside"
    with Traffic(site, alone, senders=2, every_seconds=0.1).running() as first:
        threading.Event().wait(ALONE_SECONDS)
    assert_sound(site, alone, acknowledged=first.acknowledged)
    memory = megabytes(site)

    with journal_of(site) as engine:
        seed(engine, f"{name}-due", "pending", DUE)
        with Traffic(site, beside, senders=2, every_seconds=0.1).running() as second:
            began = time.time()
            filtered = {"filter": {"model": f"{name}-dead"}, "mode": "failed", "rate": RATE}
            answer = site.post("/replay", filtered)
            assert answer.status_code == 202, answer.text
            assert answer.json()["counts"] == {"replay": DEAD}
            asked_in = time.time() - began
            eventually(lambda: len(started(engine, f"{name}-dead")) > RATE, 120)
            threading.Event().wait(REPLAY_SECONDS)

            cancelled_at = time.time()
            told = site.api.delete(
                f"/replay/{answer.json()['batch']}",
                headers={"authorization": f"Bearer {site.token}"},
            ).json()
            cancelled_in = time.time() - cancelled_at
            eventually(lambda: not open_ones(engine, f"{name}-dead"), 40)
            threading.Event().wait(2)
        begun = started(engine, f"{name}-dead")
        eventually(lambda: not open_ones(engine, f"{name}-due"), 120)
        delays = {model: start_delays(engine, model) for model in (alone, beside)}
    p99 = {model: found[int(len(found) * 0.99)] for model, found in delays.items()}
    gained = {role: megabytes(site)[role] - before for role, before in memory.items()}
    numbers = (
        f"p99 start delay {p99[alone]:.3f} s alone, {p99[beside]:.3f} s beside {len(begun)} "
        f"replayed; asked in {asked_in:.1f} s, cancelled in {cancelled_in:.1f} s; MB {gained}"
    )
    (site.directory / "numbers.txt").write_text(numbers)

    assert told["cancelled"] + told["left"] == DEAD
    assert told["cancelled"] > 0, "nothing was left to cancel"
    assert max(begun) < cancelled_at + CANCELLED_WITHIN_SECONDS, numbers
    assert len(begun) <= RATE * (max(begun) - began + 2), numbers
    assert {each.status for each in second.said} == {202}
    assert second.longest_seconds < CANCELLED_WITHIN_SECONDS
    assert p99[beside] <= max(2 * p99[alone], SHORTEST_TOLD_SECONDS), numbers
    assert max(gained.values()) < FLAT_MEGABYTES, numbers
    assert_sound(site, beside, f"{name}-due", acknowledged=second.acknowledged)
    assert_sound(site, f"{name}-dead", dead_allowed=told["cancelled"])


def seed(engine: Engine, model: str, state: str, count: int) -> None:
    """Events of versions, each with the dispatch that it had; written straight into the journal."""
    now = datetime.now(UTC)
    then = now if state == "pending" else now - timedelta(hours=1)
    ended = state != "pending"
    ids = [(uuid7(), uuid7(), str(number)) for number in range(1, count + 1)]
    common: dict[str, Any] = {
        "type": "model_version.updated",  # nobody's evidence: its validation is skipped at once
        "source": "steward",
        "registry": "default",
        "workspace": "",
        "model": model,
        "data": {},
        "occurred_at": then,
        "recorded_at": then,
        "seen": 1,
    }
    dispatched = {
        "handler": "validate",
        "queue": "validation",
        "state": state,
        "note": "seeded",
        "due_at": then,
        "hint_at": then,
        "attempts": int(ended),
        "created_at": then,
        "finished_at": then if ended else None,
    }
    tried = {"run": 1, "number": 1, "ended_at": then, "outcome": state, "detail": "seeded"}
    with engine.begin() as connection:
        insert_many(connection, events, [{"id": e, "version": v, **common} for e, _, v in ids])
        insert_many(
            connection, dispatches, [{"id": d, "event_id": e, **dispatched} for e, d, _ in ids]
        )
        if ended:
            insert_many(connection, attempts, [{"dispatch_id": d, **tried} for _, d, _ in ids])


def of_model(query: Any, model: str) -> Any:
    joined = query.join(dispatches, dispatches.c.id == attempts.c.dispatch_id)
    return joined.join(events, events.c.id == dispatches.c.event_id).where(events.c.model == model)


def started(engine: Engine, model: str) -> list[float]:
    """When each attempt of a model's dispatches began, in seconds since the epoch."""
    query = select(attempts.c.started_at).where(attempts.c.started_at.is_not(None))
    return [row.started_at.timestamp() for row in rows(engine, of_model(query, model))]


def start_delays(engine: Engine, model: str) -> list[float]:
    """Seconds from a dispatch to its first start, sorted."""
    query = select(attempts.c.started_at, dispatches.c.created_at).where(attempts.c.number == 1)
    found = rows(engine, of_model(query.select_from(attempts), model))
    return sorted((row.started_at - row.created_at).total_seconds() for row in found)


def open_ones(engine: Engine, model: str) -> int:
    query = (
        select(func.count())
        .select_from(dispatches)
        .join(events, events.c.id == dispatches.c.event_id)
        .where(events.c.model == model, dispatches.c.state.in_(("pending", "running")))
    )
    return int(rows(engine, query)[0][0])


def megabytes(site: Site) -> dict[str, float]:
    """Resident memory of each role with its forks."""
    found = {}
    for role, child in site.children.items():
        pids = [child.pid, *site.workers_beneath(role)]
        found[role] = sum(psutil.Process(pid).memory_info().rss for pid in pids) / MEGABYTE
    return found
