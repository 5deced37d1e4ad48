"""The PostgreSQL that other tests use is real, and comes back after it was killed."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import postgres_server
from tests.postgres import Databases, PostgresServer
from tests.servers import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = postgres_server()
    try:
        yield server.start()
    finally:
        server.remove()


def test_each_name_is_a_database_of_its_own(postgresql: Databases) -> None:
    first, second = postgresql.database("first"), postgresql.database("second")

    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE mine (id int)")

    assert postgresql.database("first") == first
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)


def test_a_killed_server_is_away_and_then_has_what_was_committed(server: PostgresServer) -> None:
    url = server.database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

    server.kill()
    assert not server.is_answering()
    server.start()

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_frozen_server_answers_nothing_until_it_goes_on(server: PostgresServer) -> None:
    with server.frozen():
        assert not server.is_answering()

    eventually(server.is_answering)


def test_settings_are_the_servers() -> None:
    server = postgres_server("lock_timeout=77")
    try:
        with psycopg.connect(server.start().url) as connection:
            assert connection.execute("SHOW lock_timeout").fetchone() == ("77ms",)
    finally:
        server.remove()
