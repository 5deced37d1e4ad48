"""`steward db` on a real PostgreSQL: what it finds, and that the commands it prints do the job."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from steward.cli.app import build
from steward.errors import JournalUnavailableError
from steward.journal.migrate import HEAD
from tests.conftest import missing, postgres_server
from tests.postgres import PostgresServer, find_programs
from tests.unit.journal_support import events_in, happened, open_at


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = postgres_server("fsync=on", "max_connections=30")
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def url(server: PostgresServer, request: pytest.FixtureRequest) -> str:
    return server.database(request.node.name)


def db(url: str, *words: str) -> Result:
    return CliRunner(env={"STEWARD_DATABASE_URL": url}).invoke(build(), ["db", *words])


def found(url: str) -> dict[str, tuple[str, str]]:
    findings = json.loads(db(url, "check", "--json").stdout)["findings"]
    return {each["part"]: (each["status"], each["detail"]) for each in findings}


def test_a_journal_is_made_and_is_well(url: str) -> None:
    assert db(url, "check").exit_code == 1

    told = json.loads(db(url, "upgrade", "--json").stdout)

    assert (told["from"], told["to"]) == (None, HEAD)
    assert db(url, "check").exit_code == 0
    assert {status for status, _ in found(url).values()} == {"ok"}


def test_settings_that_may_lose_what_was_promised_are_found(
    server: PostgresServer, url: str
) -> None:
    db(url, "upgrade")
    server.stop()
    before, server.settings = server.settings, ("fsync=off", "synchronous_commit=off")
    server.start()
    try:
        assert db(url, "check").exit_code == 1
        parts = found(url)
    finally:
        server.stop()
        server.settings = before
        server.start()

    assert parts["fsync"][0] == "failing"
    assert parts["synchronous_commit"] == (
        "note",
        "on for Steward's connections; the server's own is off",
    )


def test_a_server_without_connections_to_spare_is_not_well(
    server: PostgresServer, url: str
) -> None:
    db(url, "upgrade")
    server.stop()
    before, server.settings = server.settings, ("max_connections=10",)
    server.start()
    try:
        parts = found(url)
    finally:
        server.stop()
        server.settings = before
        server.start()

    assert parts["connections"][0] == "failing"


def test_a_server_that_is_away_is_unreachable(server: PostgresServer, url: str) -> None:
    server.kill()
    try:
        for words in (("check",), ("upgrade",)):
            assert isinstance(db(url, *words).exception, JournalUnavailableError)
    finally:
        server.start()


def test_the_printed_commands_back_up_and_restore(
    server: PostgresServer, url: str, tmp_path: Path
) -> None:
    programs = find_programs()
    if programs is None or not (programs / "pg_dump").exists():
        missing("pg_dump is missing: install PostgreSQL's client programs.")
    db(url, "upgrade")
    journal = open_at(url)
    happened(journal, "work.free")
    told = db(url, "backup", str(tmp_path / "journal.dump"))
    dump, restore = re.findall(r"^  (pg_.*)$", told.stdout, re.MULTILINE)

    _run(programs, dump)
    happened(journal, "work.free", version="later")
    journal.close()
    _run(programs, restore)

    assert told.exit_code == 1
    restored = open_at(url)
    assert [event.version for event in events_in(restored)] == [None]
    assert db(url, "check").exit_code == 0
    restored.close()


def _run(programs: Path, command: str) -> None:
    program, *arguments = shlex.split(command)
    subprocess.run([programs / program, *arguments], check=True)
