"""The same work on Valkey and on RabbitMQ, whatever happens to the broker or to a worker."""

from collections.abc import Iterator

import pytest

from steward.broker import Hinter, celery_app
from steward.events import ModelRef, NewEvent
from steward.journal.routing import Routing
from steward.journal.store import Journal
from steward.journal.writing import EventWriter
from steward.ports import Hint
from tests.integration.broker_support import (
    Broker,
    FrozenRegistry,
    broker,
    empty,
    roles_on,
)
from tests.rabbit import RabbitServer
from tests.roles import COMMANDS
from tests.servers import eventually

__all__ = ["broker"]


@pytest.fixture(scope="module")
def roles(
    broker: Broker, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FrozenRegistry]:
    with roles_on(tmp_path_factory.mktemp("roles"), broker.url, mlflow_server) as roles:
        for name in COMMANDS:
            roles.start(name, is_awaited=False)
        for name in COMMANDS:
            roles.await_ready(name)
        yield roles


@pytest.fixture
def model(request: pytest.FixtureRequest, broker: Broker) -> str:
    return f"{request.node.originalname[5:40]}-{broker.port}"


def test_versions_are_worked_off(roles: FrozenRegistry, broker: Broker, model: str) -> None:
    versions = roles.register(model, 0.9, 0.95, 0.5)

    roles.await_finished(model, versions)

    assert roles.promoted(model)[-1] == "2"
    if isinstance(broker, RabbitServer):
        kinds = {row[0]: row[1] for row in broker.ask("list_queues", "name", "type")}
        assert kinds["steward.default"] == kinds["steward.validation"] == "quorum"
        assert ["true"] in broker.ask("list_channels", "confirm")
        limits = broker.ask("list_channels", "global_prefetch_count")
        assert {limit for (limit,) in limits} == {"0"}


def test_a_broker_that_is_killed_and_comes_back_costs_time_alone(
    roles: FrozenRegistry, broker: Broker, model: str
) -> None:
    versions = roles.register(model, 0.9)
    broker.kill()
    versions += roles.register(model, 0.95, 0.5)
    eventually(lambda: len(roles.known(model)) == 3, 60)

    broker.start()

    roles.await_finished(model, versions, within=120)


def test_an_emptied_broker_is_filled_again_by_the_sweep(
    roles: FrozenRegistry, broker: Broker, model: str
) -> None:
    before = roles.health()["redelivered_hints"]
    roles.stop("worker-validation")
    versions = roles.register(model, 0.9, 0.95)
    eventually(lambda: len(roles.known(model)) == 2, 60)

    eventually(lambda: empty(broker), 30, every_seconds=0.2)
    roles.start("worker-validation")

    roles.await_finished(model, versions)
    assert roles.health()["redelivered_hints"] > before


@pytest.mark.parametrize(
    ("worker", "handler"), [("worker-validation", "validate"), ("worker-default", "promote")]
)
def test_a_worker_killed_while_it_handles_loses_nothing(
    roles: FrozenRegistry, model: str, worker: str, handler: str
) -> None:
    model = f"{model}-{handler}"
    before = roles.health()["expired_leases"]
    roles.stop(worker)
    versions = roles.register(model, 0.9)
    eventually(lambda: roles.pending(model, handler), 60)
    roles.freeze_registry()
    roles.start(worker)
    eventually(lambda: roles.running_dispatches(handler), 60)

    roles.kill(worker)
    roles.thaw_registry()
    roles.start(worker)

    roles.await_finished(model, versions)
    assert roles.health()["expired_leases"] > before


def test_what_only_a_newer_worker_knows_is_left_alone(
    roles: FrozenRegistry, broker: Broker, model: str
) -> None:
    newer = Journal(roles.journal.engine, Routing({"work.of_tomorrow": ("tomorrow",)}))
    with newer.write() as transaction:
        writer = EventWriter(newer, transaction)
        writer.add(NewEvent("work.of_tomorrow", ModelRef(model), "1"), seen=0)
        writer.flush()
    (hint,) = transaction.hints
    hinter = Hinter(celery_app(broker.url))
    for _ in range(10):
        hinter.send([Hint(hint.dispatch_id, "tomorrow", "default")])  # a task nobody here has
        hinter.send([Hint(hint.dispatch_id, "annotate", "default")])  # one that all have
    hinter.close()

    roles.await_finished(model, roles.register(model, 0.9, 0.95))

    (row,) = [each for each in roles.dispatches() if each.id == hint.dispatch_id]
    assert (row.state, row.attempts, row.failures) == ("pending", 0, 0)
    assert roles.children["worker-default"].is_alive()
    assert roles.canary_age("worker-default") < 30
