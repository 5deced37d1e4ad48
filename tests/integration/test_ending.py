"""SIGTERM: every role hands back what it holds, and is gone within 25 seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker_support import FrozenRegistry, roles_on
from tests.servers import eventually

LONGEST_SECONDS = 25.0


@pytest.fixture
def roles(valkey_server: str, mlflow_server: str, tmp_path: Path) -> Iterator[FrozenRegistry]:
    with roles_on(tmp_path, valkey_server, mlflow_server, STEWARD_LEASE_SECONDS="60") as roles:
        yield roles


@pytest.mark.parametrize(
    ("worker", "handler"), [("worker-validation", "validate"), ("worker-default", "promote")]
)
def test_a_worker_hands_back_what_it_is_handling(
    roles: FrozenRegistry, worker: str, handler: str
) -> None:
    model = f"ending-{handler}"
    roles.start("poller")
    eventually(lambda: "baseline_taken" in roles.log("poller"), 60)
    roles.register(model, 0.9)
    if handler == "promote":
        roles.start("worker-validation")
    eventually(lambda: roles.pending(model, handler), 60)
    roles.freeze_registry()
    roles.start(worker, is_awaited=False)  # the handler gives up after ten seconds
    (held,) = eventually(lambda: roles.running_dispatches(handler), 60)

    seconds = roles.stop(worker)

    assert seconds < LONGEST_SECONDS
    (row,) = [each for each in roles.dispatches() if each.id == held.id]
    assert (row.state, row.failures, row.owner, row.lease_until) == ("pending", 0, None, None)
    assert row.note == "handed back: the worker stopped"
    assert [each.outcome for each in roles.attempts(held.id)] == ["released"]
    queue = worker.partition("-")[2]
    assert [each for each in roles.processes() if each.queue == queue] == []


@pytest.mark.parametrize("worker", ["worker-default", "worker-validation"])
def test_an_idle_worker_leaves_no_sign(roles: FrozenRegistry, worker: str) -> None:
    roles.start(worker)
    assert [each.role for each in roles.processes()] == ["worker"]

    assert roles.stop(worker) < LONGEST_SECONDS

    assert roles.processes() == []


def test_a_poller_gives_back_the_poll_and_the_sweep(roles: FrozenRegistry) -> None:
    roles.start("poller")
    eventually(lambda: {"sweep", "poller/default"} <= set(roles.leases()), 60)

    assert roles.stop("poller") < LONGEST_SECONDS

    assert roles.leases() == {}
    assert roles.processes() == []


def test_a_receiver_leaves_no_sign(roles: FrozenRegistry) -> None:
    roles.start("receiver")
    eventually(lambda: [each.role for each in roles.processes()] == ["receiver"], 10)

    assert roles.stop("receiver") < LONGEST_SECONDS

    assert roles.processes() == []
