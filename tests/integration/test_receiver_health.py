"""Health and metrics say who runs, what waits and whose clock is wrong, from the journal alone."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from steward.journal import sweeping
from steward.journal.processes import Canary, Presence
from steward.journal.schema import dispatches, processes
from tests.deliveries import created
from tests.integration.receiver_support import Receiver, receiver

Sign = Callable[..., Presence]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


@pytest.fixture
def sign(here: Receiver) -> Sign:
    """Let a process give one sign."""

    def one_sign(name: str, role: str = "worker", **more: Any) -> Presence:
        presence = Presence(here.journal, name=name, role=role, **more)
        presence.sign()
        return presence

    return one_sign


class Ahead:
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=90)


def well() -> Canary:
    return Canary(1.0, 1.0)


def health(here: Receiver) -> dict[str, Any]:
    document: dict[str, Any] = here.client.get("/api/v1/health").json()
    return document


def part(here: Receiver, name: str) -> tuple[str, str]:
    found = health(here)["dependencies"][name]
    return found["status"], found["detail"]


def age(here: Receiver, **seconds: float) -> None:
    """Let the times of every process's row be longer ago."""
    with here.journal.write() as transaction:
        values = {name: transaction.now - timedelta(seconds=ago) for name, ago in seconds.items()}
        transaction.connection.execute(update(processes).values(values))


def test_a_queue_that_nobody_consumes_is_named(here: Receiver, sign: Sign) -> None:
    sign("worker@a:1", queue="default", canary=well)

    status, said = part(here, "workers")

    assert status == "degraded"
    assert said == (
        "No worker consumes the queue validation. Start: steward worker --queue validation"
    )


def test_workers_on_every_queue_are_well_before_anything_was_tried(
    here: Receiver, sign: Sign
) -> None:
    sign("worker@a:1", queue="default", canary=well)
    sign("worker@a:2", queue="validation", canary=well)

    assert part(here, "workers") == (
        "ok",
        "1 on the queue default, 1 on the queue validation; no attempt is recorded yet.",
    )
    status, detail = part(here, "broker")
    assert status == "ok"
    assert detail in ("The workers reach it.", "The last hint reached it.")  # of an earlier test


def test_a_worker_that_died_does_not_count(here: Receiver, sign: Sign) -> None:
    sign("worker@a:1", queue="default", canary=well)
    sign("worker@a:2", queue="validation", canary=well)

    age(here, seen_at=60)

    assert part(here, "workers")[1].startswith(
        "No worker consumes the queue default and No worker consumes the queue validation."
    )
    assert health(here)["processes"] == []


def test_a_worker_that_lives_and_does_not_consume_is_named(here: Receiver, sign: Sign) -> None:
    sign("worker@a:1", queue="default", canary=well)
    sign("worker@a:2", queue="validation", canary=lambda: Canary(1.0, 75.0))

    assert part(here, "workers") == (
        "degraded",
        "worker@a:2 does not consume; it will end itself soon.",
    )


def test_a_broker_that_workers_cannot_reach_is_away(here: Receiver, sign: Sign) -> None:
    sign("worker@a:1", queue="default", canary=lambda: Canary(75.0, 76.0))
    sign("worker@a:2", queue="validation", canary=lambda: Canary(76.0, 77.0))

    assert part(here, "broker") == (
        "degraded",
        "worker@a:1, worker@a:2 cannot reach it; the sweep repeats what waits.",
    )
    assert part(here, "workers")[0] == "ok"


def test_a_wrong_clock_is_named_with_its_skew(here: Receiver, sign: Sign) -> None:
    sign("poller@a:3", "poller", clock=Ahead())

    status, said = part(here, "clocks")

    assert status == "degraded"
    assert re.fullmatch(r"The clock of poller@a:3 is (8\d|90) s ahead of the database's\.", said)
    assert "clocks: " + said in health(here)["problems"]


def test_every_living_process_is_listed_with_its_signs(here: Receiver, sign: Sign) -> None:
    sign("worker@a:1", queue="default", canary=lambda: Canary(2.0, 3.0))
    sign("receiver@a:4", "receiver")

    receiver_row, worker_row = health(here)["processes"]

    assert (receiver_row["role"], receiver_row["canary_seconds"]) == ("receiver", None)
    assert (worker_row["name"], worker_row["queue"]) == ("worker@a:1", "default")
    assert 3 <= worker_row["canary_seconds"] < 30
    assert abs(worker_row["clock_skew_seconds"]) < 10


def test_what_the_sweep_repeats_is_counted_in_health_and_metrics(
    here: Receiver, sign: Sign
) -> None:
    sign("worker@a:1", queue="default", canary=well)
    here.deliver(created())
    with here.journal.write() as transaction:
        ago = transaction.now - timedelta(seconds=90)
        transaction.connection.execute(
            update(dispatches).values(hint_at=ago + timedelta(seconds=5), due_at=ago)
        )
    sweeping.due(here.journal)

    found = health(here)
    metrics = here.client.get("/metrics").text

    assert (found["redelivered_hints"], found["expired_leases"]) == (1, 0)
    assert found["oldest_due_seconds"] > 60
    assert "steward_redelivered_hints_total 1.0" in metrics
    assert "steward_expired_leases_total 0.0" in metrics
    assert 'steward_processes{queue="default",role="worker"} 1.0' in metrics
    assert 'steward_worker_canary_age_seconds{process="worker@a:1"}' in metrics
    assert 'steward_clock_skew_seconds{process="worker@a:1"}' in metrics
