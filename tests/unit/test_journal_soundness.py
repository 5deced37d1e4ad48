# ruff: noqa: F401 -- fixtures are imported, then named as arguments
"""What a start looks at before it trusts a SQLite journal: its disk, its file, its SQLite."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs

from steward.errors import ConfigurationError, JournalUnavailableError
from steward.journal import soundness
from steward.journal.opening import open_journal
from steward.journal.places import mount_of
from steward.journal.schema import audit
from steward.journal.soundness import JournalDamagedError, check_at_start, warn_of_wal_reset
from steward.journal.store import Journal
from steward.settings import Settings
from tests.unit.journal_support import ROUTING, happened, migrated_journal_file, open_at
from workers.sweep import CHECKPOINT_EVERY_SECONDS, Sweep

LOCAL = "28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data dir"


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, _env_file=None)


@pytest.fixture
def file(settings: Settings, data_dir: Path) -> Path:
    """A journal with something in it, closed."""
    journal = open_journal(settings, ROUTING)
    for _ in range(30):
        happened(journal, "work.free")
    journal.checkpoint()
    journal.close()
    return data_dir / "steward.db"


# --- the disk -------------------------------------------------------------------------------------


def mounts(tmp_path: Path, *lines: str) -> Path:
    table = tmp_path / "mountinfo"
    table.write_text(LOCAL + "".join(f"{line}\n" for line in lines))
    return table


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "fuse.sshfs", "fuse.s3fs"]
)
def test_a_network_file_system_is_refused_with_its_mount_and_its_kind(
    settings: Settings, data_dir: Path, tmp_path: Path, kind: str
) -> None:
    share = str(tmp_path).replace(" ", "\\040")
    table = mounts(tmp_path, f"40 28 0:50 / {share} rw,relatime - {kind} nas:/export rw")

    with pytest.raises(ConfigurationError) as refused:
        open_journal(settings, ROUTING, mount_table=table)

    assert f"lies on {tmp_path}, a network file system ({kind})" in str(refused.value)
    assert "STEWARD_DATABASE_URL=postgresql://" in str(refused.value)
    assert not data_dir.exists()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuse.lxcfs"])
def test_a_disk_of_this_machine_is_accepted(settings: Settings, tmp_path: Path, kind: str) -> None:
    table = mounts(tmp_path, f"40 28 0:50 / {tmp_path} rw,relatime - {kind} /dev/x rw")

    open_journal(settings, ROUTING, mount_table=table).close()


def test_the_deepest_mount_counts_and_of_two_at_one_point_the_last(tmp_path: Path) -> None:
    table = mounts(
        tmp_path,
        "40 28 0:50 / /srv rw - nfs4 nas:/srv rw",
        "41 40 0:51 / /srv/with\\040blank rw shared:7 - xfs /dev/b rw",
        "42 40 0:52 / /srv/twice rw - ext4 /dev/c rw",
        "43 42 0:53 / /srv/twice rw - cifs //nas/c rw",
        "torn",
    )

    kinds = {
        place: mount.kind
        for place in ("/srv/a", "/srv/with blank/a/b", "/srv/twice/a", "/srvs", "/")
        if (mount := mount_of(Path(place), mount_table=table))
    }

    assert kinds == {
        "/srv/a": "nfs4",
        "/srv/with blank/a/b": "xfs",
        "/srv/twice/a": "cifs",
        "/srvs": "ext4",
        "/": "ext4",
    }


def test_where_the_system_tells_no_mounts_nothing_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    open_journal(settings, ROUTING, mount_table=tmp_path / "none").close()


# --- the file -------------------------------------------------------------------------------------


def test_a_damaged_file_is_refused_at_start_with_what_to_do(settings: Settings, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    file.write_bytes(content)

    with pytest.raises(JournalDamagedError) as refused:
        open_journal(settings, ROUTING)

    assert f"The journal {file} is damaged: " in str(refused.value)
    assert f"cp 'BACKUP' '{file}'" in str(refused.value)
    assert f"rm -f '{file}-wal' '{file}-shm'" in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"something else " * 500, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_of_another_kind_is_refused_with_what_to_do(
    settings: Settings, file: Path, content: bytes
) -> None:
    file.write_bytes(content)

    with pytest.raises(JournalDamagedError, match="is damaged: file is not a database"):
        open_journal(settings, ROUTING)


def test_a_truncated_file_is_refused(settings: Settings, file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)

    with pytest.raises(JournalDamagedError):
        open_journal(settings, ROUTING)


def test_the_look_at_a_start_ends_in_time_however_large_the_journal(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executemany(
        "INSERT INTO audit (at, actor, verb, target) VALUES (1, '', '', ?)",
        (("x" * 3000,) for _ in range(20_000)),
    )
    connection.commit()
    connection.close()

    assert check_at_start(file, seconds=60)
    assert not check_at_start(file, seconds=0.01)


def test_no_file_and_an_empty_file_are_a_new_journal(settings: Settings, data_dir: Path) -> None:
    data_dir.mkdir()
    assert check_at_start(data_dir / "steward.db")
    (data_dir / "steward.db").touch()

    open_journal(settings, ROUTING).close()


def test_a_file_that_somebody_locks_for_good_is_unavailable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness, "BUSY_TIMEOUT_MILLISECONDS", 50)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(JournalUnavailableError, match="locked"):
        check_at_start(file)
    other.close()


# --- its SQLite -----------------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[list[Any]]:
    soundness._warned.clear()
    structlog.configure()
    with capture_logs() as logs:
        yield logs
    structlog.reset_defaults()
    soundness._warned.clear()


def test_a_sqlite_with_the_wal_reset_defect_is_warned_of_once(log: list[Any]) -> None:
    warn_of_wal_reset((3, 51, 2))
    warn_of_wal_reset((3, 51, 2))

    [warning] = log
    assert warning["event"] == "sqlite_wal_reset_defect"
    assert (warning["sqlite"], warning["fixed_in"]) == ("3.51.2", "3.51.3")
    assert "automatic checkpoints are off" in warning["so"]


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 53, 0), (4, 0, 0)])
def test_a_sqlite_without_the_defect_is_not_warned_of(
    log: list[Any], version: tuple[int, ...]
) -> None:
    warn_of_wal_reset(version)

    assert log == []


def test_a_command_that_only_answers_does_not_warn() -> None:
    soundness._warned.clear()
    structlog.reset_defaults()

    warn_of_wal_reset((3, 40, 1))

    assert not soundness._warned.is_set()


def test_no_connection_checkpoints_by_itself(file: Path) -> None:
    journal = open_at(f"sqlite:///{file}")
    log = Path(f"{file}-wal")

    for _ in range(600):  # far above SQLite's own limit of 1000 pages
        happened(journal, "work.free")
    with journal.engine.connect() as connection:
        assert connection.execute(text("PRAGMA wal_autocheckpoint")).scalar_one() == 0

    assert log.stat().st_size > 2000 * 4096
    journal.checkpoint()
    assert log.stat().st_size == 0
    journal.close()


def test_only_the_leader_of_the_sweep_checkpoints(file: Path) -> None:
    leading, other = open_at(f"sqlite:///{file}"), open_at(f"sqlite:///{file}")
    leader, follower = (
        Sweep(journal, holder=name, hint=lambda _: None, interval_seconds=1)
        for journal, name in ((leading, "leader"), (other, "follower"))
    )
    leader.sweep_once()  # takes the lease, and checkpoints
    log = Path(f"{file}-wal")
    happened(other, "work.free")
    grown = log.stat().st_size

    follower.sweep_once()
    assert log.stat().st_size >= grown > 0

    leader._checkpointed_at -= CHECKPOINT_EVERY_SECONDS
    leader.sweep_once()
    assert log.stat().st_size == 0
    leading.close()
    other.close()


def test_a_reader_that_stays_does_not_keep_writers_out(file: Path) -> None:
    journal = open_at(f"sqlite:///{file}")
    with journal.read() as connection:
        connection.execute(audit.select()).all()
        happened(journal, "work.free")
        checkpoint = threading.Thread(target=journal.checkpoint)
        checkpoint.start()

        other = open_at(f"sqlite:///{file}")
        happened(other, "work.free")  # waits for no longer than the checkpoint may

        checkpoint.join(10)
    journal.close()
    other.close()
