"""`steward db`: the journal is brought up to date, looked at and copied."""

import json
import re
import shlex
import sqlite3
import stat
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from steward.cli.app import build
from steward.errors import ConfigurationError
from steward.journal import backup, condition
from steward.journal.condition import examine
from steward.journal.migrate import HEAD, downgrade
from steward.journal.soundness import JournalDamagedError
from steward.journal.store import Journal
from tests.unit.journal_support import events_in, happened, open_at


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the journal will be; nothing is there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEWARD_DATABASE_URL", raising=False)
    monkeypatch.setenv("STEWARD_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "steward.db"


def db(*words: str) -> Result:
    return CliRunner().invoke(build(), ["db", *words])


def journal_at(file: Path) -> Journal:
    return open_at(f"sqlite:///{file}")


def found() -> dict[str, dict[str, str]]:
    """What `check` finds, by part."""
    answer = json.loads(db("check", "--json").stdout)
    return {each["part"]: each for each in answer["findings"]}


# --- upgrade --------------------------------------------------------------------------------------


def test_upgrading_says_from_where_to_where_and_when_there_is_nothing_to_do(file: Path) -> None:
    made, again = db("upgrade"), db("upgrade")
    journal = journal_at(file)
    downgrade(journal.engine, "0001")
    journal.close()
    told = json.loads(db("upgrade", "--json").stdout)

    assert made.stdout == f"Made the tables of {file}, revision {HEAD}.\n"
    assert again.stdout == f"{file} is at revision {HEAD}; there is nothing to do.\n"
    assert told == {"journal": str(file), "from": "0001", "to": HEAD, "changed": True}


def test_a_journal_of_a_newer_steward_is_not_upgraded(file: Path) -> None:
    db("upgrade")
    journal = journal_at(file)
    with journal.write() as transaction:
        transaction.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    journal.close()

    assert isinstance(db("upgrade").exception, ConfigurationError)
    assert db("check").exit_code == 1
    assert "newer than this program expects" in found()["revision"]["detail"]


# --- check ----------------------------------------------------------------------------------------


def test_a_journal_that_is_well_is_said_to_be(file: Path) -> None:
    db("upgrade")

    result = db("check")

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{file}: well\n")
    parts = found()
    assert {each["status"] for each in parts.values()} <= {"ok", "note"}
    assert list(parts) == [
        "revision",
        "integrity",
        "journal_mode",
        "sqlite",
        "file_system",
        "disk",
        "writes",
        "clock",
    ]


def test_an_older_journal_is_not_well_and_left_as_it_is(file: Path) -> None:
    db("upgrade")
    journal = journal_at(file)
    downgrade(journal.engine, "0001")
    journal.close()

    assert db("check").exit_code == 1
    assert found()["revision"] == {
        "part": "revision",
        "status": "failing",
        "detail": f"0001, and this program expects {HEAD}: run steward db upgrade",
    }


def test_a_row_that_names_one_that_is_not_there_is_found(file: Path) -> None:
    db("upgrade")
    connection = sqlite3.connect(file)
    connection.execute(
        "INSERT INTO attempts (dispatch_id, run, number, ended_at, outcome)"
        " VALUES ('nobody', 1, 1, 1, 'dead')"
    )
    connection.commit()
    connection.close()

    assert db("check").exit_code == 1
    assert "row 1 of attempts names a row of dispatches" in found()["integrity"]["detail"]


def test_a_damaged_journal_is_told_with_how_to_restore_it(file: Path) -> None:
    db("upgrade")
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)

    result = db("check")

    assert isinstance(result.exception, JournalDamagedError) or result.exit_code == 1


def test_no_journal_is_made_by_looking_or_copying(file: Path) -> None:
    for words in (("check",), ("backup", "copy.db")):
        error = db(*words).exception
        assert isinstance(error, ConfigurationError)
        assert f"There is no journal {file}." in str(error)
    assert not file.parent.exists()


def test_a_network_disk_a_full_one_and_a_wrong_clock_are_not_well(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db("upgrade")
    mounts = tmp_path / "mountinfo"
    mounts.write_text("28 1 254:0 / / rw - nfs4 nas:/ rw\n")
    full = SimpleNamespace(total=10**9, used=10**9, free=1000)
    monkeypatch.setattr(condition.shutil, "disk_usage", lambda _: full)
    monkeypatch.setattr(condition, "CLOCK_TOLERANCE_SECONDS", -1.0)
    journal = journal_at(file)

    failing = {
        each.part: each.detail
        for each in examine(journal, mount_table=mounts)
        if each.status == "failing"
    }

    journal.close()
    assert failing.keys() == {"file_system", "disk", "clock"}
    assert failing["file_system"].startswith("nfs4 on /: a network file system")


@pytest.mark.parametrize(
    ("version", "status"), [((3, 40, 1), "note"), ((3, 51, 2), "note"), ((3, 51, 3), "ok")]
)
def test_a_sqlite_with_the_wal_reset_defect_is_noted(version: tuple[int, ...], status: str) -> None:
    finding = condition._sqlite_version(version)

    assert finding.status == status
    assert ("has the WAL-reset defect" in finding.detail) == (status == "note")


# --- backup ---------------------------------------------------------------------------------------


def test_a_copy_is_whole_while_others_write_and_is_for_its_owner_alone(
    file: Path, tmp_path: Path
) -> None:
    db("upgrade")
    journal = journal_at(file)
    happened(journal, "work.free")
    is_enough = threading.Event()

    def write() -> None:
        while not is_enough.is_set():
            happened(journal, "work.free")

    writer = threading.Thread(target=write)
    writer.start()
    copy = tmp_path / "copy.db"
    try:
        result = db("backup", str(copy))
    finally:
        is_enough.set()
        writer.join()

    assert result.exit_code == 0
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir() if "copy" in each.name] == ["copy.db"]
    restored = journal_at(copy)
    count = len(events_in(restored))
    assert 1 <= count <= len(events_in(journal))
    with restored.read() as connection:
        dispatched = text("SELECT count(*) FROM dispatches JOIN events ON events.id = event_id")
        assert connection.execute(dispatched).scalar_one() == count
    restored.close()
    journal.close()


def test_the_printed_commands_restore_the_copy(file: Path, tmp_path: Path) -> None:
    db("upgrade")
    journal = journal_at(file)
    happened(journal, "work.free")
    told = db("backup", str(tmp_path / "the copy.db")).stdout
    happened(journal, "work.free", version="later")  # it lies in the log, which must go too
    log = Path(f"{file}-wal")
    left_by_a_crash = log.read_bytes()
    journal.close()
    log.write_bytes(left_by_a_crash)

    for command in re.findall(r"^  (.*)$", told, re.MULTILINE):
        subprocess.run(shlex.split(command), check=True)

    restored = journal_at(file)
    assert [event.version for event in events_in(restored)] == [None]
    assert db("check").exit_code == 0
    restored.close()


def test_a_file_that_exists_is_replaced_only_when_asked(file: Path, tmp_path: Path) -> None:
    db("upgrade")
    copy = tmp_path / "copy.db"
    copy.write_text("precious")

    error = db("backup", str(copy)).exception

    assert isinstance(error, ConfigurationError)
    assert copy.read_text() == "precious"
    assert db("backup", "--force", str(copy)).exit_code == 0
    assert copy.read_bytes().startswith(b"SQLite format 3")


def test_a_copy_never_takes_the_place_of_the_journal_itself(file: Path, tmp_path: Path) -> None:
    db("upgrade")
    (tmp_path / "link.db").symlink_to(file)

    for target, said in (
        (file, "the journal itself"),
        (tmp_path / "link.db", "the journal itself"),
        (tmp_path, "is a directory"),
        (tmp_path / "none" / "copy.db", "There is no directory"),
    ):
        error = db("backup", "--force", str(target)).exception
        assert isinstance(error, ConfigurationError)
        assert said in str(error)
    assert db("check").exit_code == 0


def test_a_damaged_journal_is_not_copied_over_a_good_copy(file: Path, tmp_path: Path) -> None:
    db("upgrade")
    copy = tmp_path / "copy.db"
    db("backup", str(copy))
    good = copy.read_bytes()
    content = bytearray(file.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    file.write_bytes(content)

    result = db("backup", "--force", str(copy))

    assert result.exit_code != 0
    assert copy.read_bytes() == good
    assert [each.name for each in tmp_path.iterdir() if "copy" in each.name] == ["copy.db"]


def test_a_big_copy_tells_how_far_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steward.cli.db.BIG_BYTES", 1000)
    monkeypatch.setattr(backup, "STEP_PAGES", 8)
    db("upgrade")

    lines = db("backup", "copy.db").stderr.splitlines()

    assert len(lines) > 3
    assert all(re.fullmatch(r"\d+ of \d+ MB", line) for line in lines)


def test_a_disk_without_room_is_said_before(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db("upgrade")
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))

    error = db("backup", "copy.db").exception

    assert isinstance(error, ConfigurationError)
    assert "0 MB left; the copy needs" in str(error)


def test_the_password_is_in_no_command() -> None:
    result = CliRunner(
        env={"STEWARD_DATABASE_URL": "postgresql://ana:s3cret@db:6543/steward?sslmode=require"}
    ).invoke(build(), ["db", "backup", "my copy.dump"])

    assert result.exit_code == 1
    url = "'postgresql://ana@db:6543/steward?sslmode=require'"
    assert f"  pg_dump --format=custom '--file=my copy.dump' {url}\n" in result.stdout
    assert "s3cret" not in result.output
