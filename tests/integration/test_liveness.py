"""A worker that stopped consuming ends itself, and one that only waits or works does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker_support import (
    Broker,
    FrozenRegistry,
    broker,
    roles_on,
    running_broker,
    through,
)
from tests.roles import Roles
from tests.servers import ROOT, eventually
from workers.process import POOLS

LIMIT_SECONDS = 10.0
PLACES = POOLS["validation"][1]
IMPATIENT = {"STEWARD_CANARY_SECONDS": "0.5", "STEWARD_CANARY_LIMIT_SECONDS": str(LIMIT_SECONDS)}
__all__ = ["broker"]


@pytest.fixture
def roles(broker: Broker, mlflow_server: str, tmp_path: Path) -> Iterator[FrozenRegistry]:
    with roles_on(tmp_path, broker.url, mlflow_server, **IMPATIENT) as roles:
        yield roles


def canaries(roles: Roles, name: str) -> float:
    return roles.metric(name, "steward_canaries_returned_total") or 0.0


@pytest.mark.parametrize("worker", ["worker-default", "worker-validation"])
def test_a_worker_whose_loop_is_wedged_says_why_and_ends_with_1(
    roles: FrozenRegistry, tmp_path: Path, worker: str
) -> None:
    wedge = tmp_path / "wedge"
    child = roles.start(
        worker, script=ROOT / "tests" / "wedged_worker.py", environment={"WEDGE_WHEN": str(wedge)}
    )
    assert roles.is_ready(worker)

    wedge.touch()

    eventually(lambda: not roles.is_ready(worker), LIMIT_SECONDS + 10)
    eventually(lambda: not child.is_alive(), LIMIT_SECONDS + 30)
    assert child._process.returncode == 1
    assert "worker_stopped_consuming" in roles.log(worker)
    assert "this process does not consume" in roles.log(worker)
    assert roles.processes() == []


def test_a_worker_whose_broker_is_away_waits_for_it(roles: FrozenRegistry, broker: Broker) -> None:
    child = roles.start("worker-default")

    broker.kill()
    before = canaries(roles, "worker-default")
    eventually(lambda: (roles.canary_age("worker-default") or 0) > 1.5 * LIMIT_SECONDS, 60)
    assert child.is_alive()
    assert roles.is_ready("worker-default")
    broker.start()

    eventually(lambda: canaries(roles, "worker-default") > before + 2, 90)
    assert child.is_alive()


def test_a_worker_that_is_busy_for_longer_than_the_limit_goes_on(
    roles: FrozenRegistry, broker: Broker
) -> None:
    model = f"busy-{broker.port}"
    roles.start("poller")
    eventually(lambda: "poller/default" in roles.leases(), 30)
    eventually(lambda: "baseline_taken" in roles.log("poller"), 60)
    versions = roles.register(model, 0.9, 0.95, 0.5, 0.6)
    eventually(lambda: len(roles.known(model)) == 4, 60)
    roles.freeze_registry()
    limit = LIMIT_SECONDS / 2  # a request of a frozen registry ends after ten seconds
    child = roles.start(
        "worker-validation",
        is_awaited=False,
        environment={"STEWARD_CANARY_LIMIT_SECONDS": str(limit)},
    )
    (began, *_) = eventually(lambda: roles.running_dispatches("validate"), 60)

    def is_busy_for_long() -> bool:
        assert child.is_alive()
        with roles.journal.read() as connection:
            now = roles.journal.now(connection)
        running = [each for each in roles.running_dispatches("validate") if each.id == began.id]
        spans = [(each.claimed_at, now) for each in running]
        spans += [(each.started_at, each.ended_at) for each in roles.attempts(began.id)]
        return any((end - start).total_seconds() > 1.5 * limit for start, end in spans)

    eventually(is_busy_for_long, 60, every_seconds=0.5)
    assert roles.is_ready("worker-validation")
    roles.thaw_registry()
    roles.start("worker-default")

    roles.await_finished(model, versions, within=150)
    assert child.is_alive()


def test_redis_away_while_every_place_is_taken_costs_no_place(
    mlflow_server: str, tmp_path: Path
) -> None:
    with (
        running_broker("valkey", tmp_path) as broker,
        roles_on(tmp_path, broker.url, mlflow_server, **IMPATIENT) as roles,
    ):
        models = [f"full-{broker.port}-{number}" for number in range(PLACES)]
        roles.start("poller")
        eventually(lambda: "poller/default" in roles.leases(), 30)
        eventually(lambda: "baseline_taken" in roles.log("poller"), 60)
        for model in models:
            roles.register(model, 0.9)
        eventually(lambda: all(roles.known(model) for model in models), 60)
        roles.freeze_registry()
        child = roles.start("worker-validation", is_awaited=False)
        eventually(lambda: len(roles.running_dispatches("validate")) == PLACES, 60)

        broker.kill()
        roles.thaw_registry()
        eventually(lambda: not roles.running_dispatches("validate"), 60)
        before = canaries(roles, "worker-validation")
        broker.start()

        eventually(lambda: canaries(roles, "worker-validation") > before + 2, 30)
        assert child.is_alive()
        assert "worker_stopped_consuming" not in roles.log("worker-validation")


def test_a_half_open_connection_is_left_for_a_new_one(
    broker: Broker, mlflow_server: str, tmp_path: Path
) -> None:
    with (
        through(broker.port, broker.url) as (proxy, proxied),
        roles_on(tmp_path, proxied, mlflow_server) as roles,
    ):
        child = roles.start("worker-default")
        before = canaries(roles, "worker-default")

        proxy.freeze()

        # Each second one canary is sent on a new connection, so one that comes back is work taken.
        eventually(lambda: canaries(roles, "worker-default") > before + 1, 45)
        assert child.is_alive()
