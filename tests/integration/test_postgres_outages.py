"""What a PostgreSQL that is away, hangs or is in our way means to the journal."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Connection, text

from steward.errors import JournalUnavailableError
from steward.journal import sweeping
from steward.journal.audit import write_audit
from steward.journal.migrate import upgrade
from steward.journal.postgres import LOCK_SECONDS, application_name
from steward.journal.store import Journal, JournalConflictError, retried
from tests.conftest import postgres_server
from tests.postgres import PostgresServer
from tests.servers import eventually
from tests.unit.journal_support import claim, claimed, dispatched, open_at

SECONDS_TO_SAY_SO = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = postgres_server()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.database("journal")


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    journal = open_at(url)
    upgrade(journal)
    yield journal
    journal.close()


def show(journal: Journal, setting: str) -> str:
    with journal.write() as transaction:
        return str(transaction.connection.execute(text(f"SHOW {setting}")).scalar_one())


def write(journal: Journal) -> None:
    with journal.write() as transaction:
        transaction.connection.execute(text("UPDATE installation SET id = id"))


def is_said_in_time(what: Callable[[], object], seconds: float = SECONDS_TO_SAY_SO) -> bool:
    """Whether the journal is said to be unavailable in time.

    It is asked up to three times: a machine that stood still meanwhile is not the journal's fault.
    """
    return any(_seconds_until_unavailable(what) < seconds for _ in range(3))


def _seconds_until_unavailable(what: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(JournalUnavailableError):
        what()
    return time.monotonic() - began


def test_a_connection_has_the_journals_settings(journal: Journal) -> None:
    assert show(journal, "transaction_isolation") == "read committed"
    assert show(journal, "synchronous_commit") == "on"
    assert show(journal, "statement_timeout") == "4s"
    assert show(journal, "lock_timeout") == "3s"
    assert show(journal, "idle_in_transaction_session_timeout") == "15s"
    assert show(journal, "application_name").startswith("steward-")


def test_a_reader_sees_one_snapshot_and_cannot_write(journal: Journal) -> None:
    with journal.read() as connection:
        before = connection.execute(text("SELECT count(*) FROM audit")).scalar_one()
        with journal.write() as transaction:
            write_audit(transaction, actor="a", verb="b", target="c", detail={})
        after = connection.execute(text("SELECT count(*) FROM audit")).scalar_one()

    assert after == before
    with pytest.raises(JournalUnavailableError, match="read-only"), journal.read() as connection:
        connection.execute(text("UPDATE installation SET id = id"))


def test_a_server_that_was_killed_is_said_at_once_and_used_again_when_it_is_back(
    server: PostgresServer, journal: Journal
) -> None:
    write(journal)
    server.kill()
    try:
        assert is_said_in_time(lambda: write(journal))
        assert not journal.is_writable()
    finally:
        server.start()

    write(journal)


def test_a_server_killed_within_a_write_makes_the_journal_unavailable(
    server: PostgresServer, journal: Journal
) -> None:
    def write_while_it_dies() -> None:
        with journal.write() as transaction:
            server.kill()
            server.start()
            transaction.connection.execute(text("UPDATE installation SET id = id"))

    with pytest.raises(JournalUnavailableError):
        write_while_it_dies()

    write(journal)


def test_a_server_that_hangs_is_said_within_five_seconds_and_used_again(
    server: PostgresServer, journal: Journal
) -> None:
    write(journal)

    with server.frozen():
        assert is_said_in_time(lambda: write(journal))
        assert is_said_in_time(lambda: write(journal))

    eventually(journal.is_writable)


def test_a_server_that_hangs_within_a_write_is_said_within_five_seconds(
    server: PostgresServer, journal: Journal
) -> None:
    def write_to_one_that_hangs() -> None:
        with journal.write() as transaction, server.frozen():
            transaction.connection.execute(text("UPDATE installation SET id = id"))

    assert is_said_in_time(write_to_one_that_hangs, SECONDS_TO_SAY_SO + 1)


def test_a_lock_that_somebody_keeps_is_not_waited_for_for_long(journal: Journal, url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("UPDATE installation SET id = id")

        assert is_said_in_time(lambda: write(journal))

    write(journal)


def test_a_server_that_became_read_only_is_unavailable_not_broken(
    server: PostgresServer, journal: Journal, url: str
) -> None:
    write(journal)
    server.run("ALTER DATABASE journal SET default_transaction_read_only = on")
    try:
        journal.close()  # connections that were there keep what they had
        with pytest.raises(JournalUnavailableError, match="read-only"):
            write(journal)
    finally:
        server.run("ALTER DATABASE journal RESET default_transaction_read_only")

    write(journal)


def test_a_commit_that_would_not_wait_for_the_disk_does(
    server: PostgresServer, journal: Journal
) -> None:
    server.run("ALTER DATABASE journal SET synchronous_commit = off")
    try:
        journal.close()
        assert show(journal, "synchronous_commit") == "on"
    finally:
        server.run("ALTER DATABASE journal RESET synchronous_commit")


def test_work_that_somebody_is_taking_is_neither_waited_for_nor_overtaken(
    journal: Journal, url: str
) -> None:
    free = dispatched(journal, "work.free")
    first, second = (dispatched(journal, "work.production") for _ in range(2))
    with psycopg.connect(url) as other:
        other.execute("SELECT id FROM dispatches WHERE id IN (%s, %s) FOR UPDATE", (free, first))
        began = time.monotonic()

        assert [claim(journal, each) for each in (free, first, second)] == [None] * 3
        assert {hint.dispatch_id for hint in sweeping.due(journal)} <= {second}
        assert time.monotonic() - began < LOCK_SECONDS

    assert claimed(journal, second).work.dispatch_id == first


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["/usr/bin/steward", "worker", "--queue", "default"], "steward-worker"),
        (["/venv/steward/cli/__main__.py", "poller"], "steward-poller"),
        (["/usr/bin/steward"], "steward-steward"),
        (["/usr/bin/pytest", "tests"], "steward-pytest"),
        ([""], "steward-python"),
    ],
)
def test_a_connection_names_the_role_and_the_process(
    arguments: list[str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", arguments)

    assert application_name() == f"{shown}-{os.getpid()}"


def test_of_two_writes_that_wait_for_each_other_one_is_done_again(journal: Journal) -> None:
    with journal.write() as transaction:
        for actor in ("x", "y"):
            write_audit(transaction, actor=actor, verb="", target="", detail={})
    both_hold_one = threading.Barrier(2)
    conflicts: list[JournalConflictError] = []
    tries: list[str] = []

    def turn(first: str, second: str) -> None:
        tries.append(first)
        try:
            with journal.write() as transaction:
                lock(transaction.connection, first)
                if len(tries) <= 2:
                    both_hold_one.wait(10)
                lock(transaction.connection, second)
        except JournalConflictError as error:
            conflicts.append(error)
            raise

    threads = [
        threading.Thread(target=retried(turn), args=names) for names in (("x", "y"), ("y", "x"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(conflicts) == 1
    assert "deadlock" in str(conflicts[0])
    assert sorted(tries) in (["x", "x", "y"], ["x", "y", "y"])


def lock(connection: Connection, actor: str) -> None:
    connection.execute(text("UPDATE audit SET verb = verb || '!' WHERE actor = :a"), {"a": actor})
