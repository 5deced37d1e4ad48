"""Opens the journal's database and gives transactions: the one place that knows SQLite from others.

SQLite runs in WAL mode with ``synchronous=FULL``; every write transaction is a short ``BEGIN
IMMEDIATE``, so two processes wait for each other instead of failing. Times are the database's.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from steward.errors import ConfigurationError, JournalUnavailableError
from steward.journal.routing import Routing
from steward.journal.schema import from_microseconds
from steward.ports import Clock, Hint

BUSY_TIMEOUT_MILLISECONDS = 4000
_NOW = {
    "sqlite": "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
}
TRANSACTIONS = Counter("steward_journal_transactions_total", "Write transactions committed")


@dataclass(slots=True)
class Transaction:
    """One write transaction: its connection, the database's time, and what to hint afterwards."""

    connection: Connection
    now: datetime
    hints: list[Hint] = field(default_factory=list)


class Journal:
    """The durable record. Cheap to make once a process; safe to share between threads.

    ``channels`` are those that the settings configure, whom a policy may tell by ``to: all``.
    """

    def __init__(
        self,
        engine: Engine,
        routing: Routing,
        *,
        channels: tuple[str, ...] = (),
        clock: Clock | None = None,
    ) -> None:
        self.engine = engine
        self.routing = routing
        self.channels = channels
        self._clock = clock
        # SQLite has one writer: waiting here is fair, waiting in SQLite's busy loop is not.
        self._writer = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A write transaction, committed at the end; its hints are ready after the block.

        Raises:
            JournalUnavailableError: the database is locked, full, read-only or away.

        """
        try:
            with self._exclusive(), self.engine.begin() as connection:
                yield Transaction(connection, self.now(connection))
        except IntegrityError:
            raise
        except DBAPIError as error:
            if isinstance(error, OperationalError) or error.connection_invalidated:
                raise JournalUnavailableError(f"The journal took no write: {error.orig}") from error
            raise
        except PoolTimeoutError as error:
            raise JournalUnavailableError(f"The journal took no write: {error}") from error
        TRANSACTIONS.inc()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading, on one snapshot.

        Raises:
            JournalUnavailableError: the database is locked or away.

        """
        try:
            with self.engine.connect().execution_options(steward_reads=True) as connection:
                yield connection
        except DBAPIError as error:
            if isinstance(error, OperationalError) or error.connection_invalidated:
                raise JournalUnavailableError(
                    f"The journal cannot be read: {error.orig}"
                ) from error
            raise
        except PoolTimeoutError as error:
            raise JournalUnavailableError(f"The journal cannot be read: {error}") from error

    def now(self, connection: Connection) -> datetime:
        """The database's time (a test's clock, where one was given)."""
        if self._clock is not None:
            return self._clock.now()
        return from_microseconds(
            connection.exec_driver_sql(_NOW[connection.dialect.name]).scalar_one()
        )

    def is_writable(self) -> bool:
        """Whether the journal takes a write now: the receiver's readiness."""
        try:
            with self.write() as transaction:
                transaction.connection.execute(text("UPDATE installation SET id = id"))
        except JournalUnavailableError:
            return False
        return True

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the database file; only one process may do this.

        Automatic checkpoints are off: SQLite before 3.51.3 can corrupt a database when two
        connections reset the log at once (https://sqlite.org/wal.html, "the WAL-reset bug").
        """
        if self.engine.dialect.name == "sqlite":
            with self._exclusive(), self.engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _exclusive(self) -> Any:
        return self._writer if self.engine.dialect.name == "sqlite" else _nothing()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def insert_or_ignore(connection: Connection, table: Table) -> Any:
    """An INSERT that leaves a row alone which is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def open_engine(url: str) -> Engine:
    """An engine with the journal's settings for its kind of database.

    Raises:
        ConfigurationError: a URL of another kind of database, one that cannot be read, or a
            place where this user may not write.

    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(parsed, pool_pre_ping=True, json_serializer=dumps)
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(
            f"STEWARD_DATABASE_URL names {parsed.get_backend_name()}; expected sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        )
    if parsed.database and parsed.database != ":memory:":
        _make_place(Path(parsed.database))
    engine = create_engine(
        parsed,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MILLISECONDS / 1000},
        json_serializer=dumps,
        pool_size=8,
        max_overflow=24,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
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
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "wal_autocheckpoint=0",
        f"busy_timeout={BUSY_TIMEOUT_MILLISECONDS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("steward_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


dumps: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
