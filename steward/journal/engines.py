"""Makes the engine of the journal's database, with what each kind of database needs.

SQLite runs in WAL mode with ``synchronous=FULL``; every write transaction is a short ``BEGIN
IMMEDIATE``, so two processes wait for each other instead of failing.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError

from steward.errors import ConfigurationError

BUSY_TIMEOUT_MILLISECONDS = 4000
EXPECTED = "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
dumps: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def parse_url(url: str) -> URL:
    """The URL of a journal.

    Raises:
        ConfigurationError: it cannot be read, or names another kind of database.

    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:  # not repeated: a password may stand in it
        raise ConfigurationError(f"STEWARD_DATABASE_URL is no URL; {EXPECTED}.") from error
    if parsed.get_backend_name() not in ("postgresql", "sqlite"):
        raise ConfigurationError(
            f"STEWARD_DATABASE_URL names {parsed.get_backend_name()}; {EXPECTED}."
        )
    return parsed


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite journal; None for PostgreSQL and for one in memory."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def open_engine(url: str) -> Engine:
    """An engine with the journal's settings for its kind of database.

    Raises:
        ConfigurationError: a URL of another kind of database, one that cannot be read, or a
            place where this user may not write.

    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        try:
            from steward.journal.postgres import open_postgres  # the extra may be missing
        except ImportError as error:
            raise ConfigurationError(
                "STEWARD_DATABASE_URL names postgresql, whose client is not installed: "
                "pip install 'steward[postgres]'."
            ) from error
        return open_postgres(parsed, json_serializer=dumps)
    if file := sqlite_file(parsed):
        _make_place(file)
    engine = create_engine(
        parsed,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MILLISECONDS / 1000},
        json_serializer=dumps,
        pool_size=8,
        max_overflow=24,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "handle_error", _forget_read_only)
    return engine


def _make_place(file: Path) -> None:
    """The directory of a SQLite file; both must take writes, as SQLite's own error names neither.

    The file is not opened here: closing it again would drop the locks of this process's others.
    """
    try:
        # Ours alone, whichever command makes it first: keys and captured bodies lie there as well.
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if file.parent.is_file() else error.strerror
    else:
        if file.is_dir():
            reason = f"{file.name} is a directory"
        elif all(os.access(each, os.W_OK) for each in (file.parent, file) if each.exists()):
            return
        else:
            reason = "Permission denied"
    raise ConfigurationError(
        f"The journal cannot be kept in {file.parent}: {reason}. Set STEWARD_DATA_DIR (or "
        "--data-dir, or STEWARD_DATABASE_URL) to a place where this user may write."
    )


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's "begin" below speaks for us
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MILLISECONDS}")
    _use_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn a new file into one with a write-ahead log; it stays that way.

    SQLite reads the header, then asks for the file alone. Whoever holds it meanwhile may be doing
    the same, so SQLite does not wait there, whatever ``busy_timeout`` says: we let go and wait.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def _forget_read_only(context: ExceptionContext) -> None:
    """What was opened while the file took no writes never takes one; the next is opened anew."""
    code = getattr(context.original_exception, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_READONLY:
        context.is_disconnect = True


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("steward_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
