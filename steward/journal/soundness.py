"""Whether a SQLite journal can be trusted: a look at every start, and all of it when asked."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

from steward.errors import JournalUnavailableError, PermanentError
from steward.journal.engines import BUSY_TIMEOUT_MILLISECONDS
from steward.logs import get_logger

START_SECONDS = 1.0
"""How long a start looks. A journal of some hundred megabytes is read whole; of a larger one, as
much as there is time for: every process that starts looks again, and `steward db check` reads all.
To look only after an unclean end would miss what a disk or a restored copy did meanwhile."""
WAL_RESET_IS_SAFE = (3, 51, 3)
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_warned = threading.Event()


class JournalDamagedError(PermanentError):
    """The journal's file is not what SQLite wrote: nothing can be done with it but restore it."""


def check_at_start(file: Path, *, seconds: float = START_SECONDS) -> bool:
    """Look through a SQLite journal, if there is one; whether all of it was read in time.

    Raises:
        JournalDamagedError: with what is wrong and how to restore a backup.
        JournalUnavailableError: it is locked, or cannot be opened.

    """
    if not file.exists() or file.stat().st_size == 0:
        return True
    with open_file(file) as connection:
        timer = threading.Timer(seconds, connection.interrupt)
        timer.start()
        try:
            problems = problems_of(connection, file)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return False
            raise
        finally:
            timer.cancel()
            timer.join()
    if problems:
        raise JournalDamagedError(damaged(file, problems[0]))
    return True


def problems_of(connection: sqlite3.Connection, file: Path) -> list[str]:
    """What ``quick_check`` finds; empty when all is well.

    Raises:
        JournalDamagedError: it is damaged so much that it cannot be read.

    """
    try:
        rows = connection.execute("PRAGMA quick_check(10)").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGE:
            raise JournalDamagedError(damaged(file, str(error))) from error
        raise
    return [str(row[0]) for row in rows if row[0] != "ok"]


def damaged(file: Path, what: str) -> str:
    """A sentence with what is wrong, and what to do."""
    return (
        f"The journal {file} is damaged: {' '.join(what.split())}. Stop every Steward process, "
        f"keep the file elsewhere, and restore your last backup:\n{restore_commands(file)}\n"
        "Without a backup, move the file away and start anew: what the registry holds is read "
        "again, as history. See docs/operations.md, Backup."
    )


def restore_commands(file: Path, backup: Path | str = "BACKUP") -> str:
    """How a backup takes the place of a journal; the old log must never meet the new file."""
    return f"  rm -f '{file}-wal' '{file}-shm'\n  cp '{backup}' '{file}'"


@contextmanager
def open_file(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that never checkpoints by itself.

    Raises:
        JournalUnavailableError: the file cannot be opened or is locked.

    """
    timeout = BUSY_TIMEOUT_MILLISECONDS / 1000
    try:
        opened = sqlite3.connect(file, timeout=timeout, isolation_level=None)
        opened.execute("PRAGMA wal_autocheckpoint=0")
        with closing(opened):
            yield opened
    except sqlite3.OperationalError as error:
        raise JournalUnavailableError(f"The journal {file} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGE:
            raise JournalDamagedError(damaged(file, str(error))) from error
        raise


def warn_of_wal_reset(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Say once a process that this SQLite has the WAL-reset defect, and what we do about it."""
    if version >= WAL_RESET_IS_SAFE or _warned.is_set() or not structlog.is_configured():
        return  # a command that is no role has no log, only its answer
    _warned.set()
    get_logger().warning(
        "sqlite_wal_reset_defect",
        sqlite=".".join(map(str, version)),
        fixed_in=".".join(map(str, WAL_RESET_IS_SAFE)),
        see="https://sqlite.org/wal.html",
        so="automatic checkpoints are off, and only the process that sweeps makes any",
    )
