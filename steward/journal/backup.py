"""Copies a SQLite journal while Steward runs; says how PostgreSQL is copied."""

import os
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import URL

from steward.errors import ConfigurationError, JournalUnavailableError, PermanentError
from steward.journal.soundness import open_file, problems_of

STEP_PAGES = 4096
Progress = Callable[[int, int], None]
"""Told the bytes that were copied, and how many there are."""


def back_up(
    journal: Path, target: Path, *, is_replacing: bool = False, tell: Progress | None = None
) -> int:
    """Copy a journal, as it is at this moment, to a file of mode 0600; returns its bytes.

    The copy takes its place only when it is whole and was checked. Writers go on meanwhile.

    Raises:
        ConfigurationError: the target is there already, or cannot be written.
        JournalUnavailableError: the journal is locked.
        JournalDamagedError: the journal is damaged; there is no copy then.
        PermanentError: the copy is not what was to be copied.

    """
    _check_place(journal, target, is_replacing=is_replacing)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with open_file(journal) as source, closing(sqlite3.connect(unfinished)) as copy:
            _copy(source, copy, tell)
            _check_copy(copy, unfinished)
            _mark_as_copy(copy)
        _make_durable(unfinished)
        unfinished.replace(target)
        _make_durable(target.parent)
    except sqlite3.OperationalError as error:
        raise JournalUnavailableError(f"The journal was not copied: {error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                Path(f"{unfinished}{suffix}").unlink()
    return target.stat().st_size


def dump_command(url: URL, target: Path) -> str:
    """The line that backs up a journal in PostgreSQL; without the password."""
    return shlex.join(["pg_dump", "--format=custom", f"--file={target}", _without_password(url)])


def restore_command(url: URL, target: Path) -> str:
    """The line that brings such a backup back."""
    options = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
    return shlex.join(["pg_restore", *options, f"--dbname={_without_password(url)}", str(target)])


def _without_password(url: URL) -> str:
    query = {name: value for name, value in url.query.items() if name != "password"}
    plain = url.set(drivername="postgresql", query=query)
    # Not set(password=None), which leaves it as it is.
    return URL.create(
        plain.drivername, plain.username, None, plain.host, plain.port, plain.database, query
    ).render_as_string(hide_password=False)


def _check_place(journal: Path, target: Path, *, is_replacing: bool) -> None:
    if not target.parent.is_dir():
        raise ConfigurationError(f"There is no directory {target.parent}; make it first.")
    if target.is_dir():
        raise ConfigurationError(f"{target} is a directory; name a file in it.")
    if target.exists() and target.samefile(journal):
        raise ConfigurationError(f"{target} is the journal itself; name another file.")
    if target.exists() and not is_replacing:
        raise ConfigurationError(f"{target} exists; name another file, or give --force.")
    log = Path(f"{journal}-wal")
    needed = journal.stat().st_size + (log.stat().st_size if log.exists() else 0)
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise ConfigurationError(
            f"{target.parent} has {free // 2**20} MB left; the copy needs {needed // 2**20} MB."
        )


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, tell: Progress | None) -> None:
    page = source.execute("PRAGMA page_size").fetchone()[0]
    # One snapshot for all steps: else each write of another process would begin the copy anew.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def step(_status: int, remaining: int, total: int) -> None:
        if tell:
            tell((total - remaining) * page, total * page)

    source.backup(copy, pages=STEP_PAGES, progress=step, sleep=0)
    source.execute("COMMIT")


def _check_copy(copy: sqlite3.Connection, file: Path) -> None:
    problems = problems_of(copy, file)
    if problems:
        raise PermanentError(f"The copy is damaged, and was thrown away: {problems[0]}.")


def _mark_as_copy(copy: sqlite3.Connection) -> None:
    """Let the poll of a restored journal be its first for too long.

    It then notes what it finds as late and acts on none of it: what Steward or a person did since
    the copy, such as a rollback, is unknown to the copy and must not be undone by it.
    """
    if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'polls'").fetchone():
        copy.execute("UPDATE polls SET completed_at = 0")
        copy.commit()


def _make_durable(place: Path) -> None:
    opened = os.open(place, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
