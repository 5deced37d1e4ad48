"""The journal's transactions, the same on SQLite and PostgreSQL. Times are the database's.

What another transaction did to ours (a deadlock, a lock that was not given in time) is an
unavailable journal to the caller, and is tried again where the caller is ``retried``.
"""

import functools
import random
import sqlite3
import threading
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from prometheus_client import Counter
from sqlalchemy import ColumnElement, Connection, Engine, Table, literal, literal_column, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from steward.errors import JournalUnavailableError, UnstorableError
from steward.journal.engines import BUSY_TIMEOUT_MILLISECONDS, dumps, open_engine
from steward.journal.routing import Routing
from steward.journal.schema import UtcTime, from_microseconds
from steward.journal.sharing import SharedCommit
from steward.ports import Clock, Hint

__all__ = [
    "Journal",
    "JournalConflictError",
    "Transaction",
    "dumps",
    "insert_or_ignore",
    "open_engine",
    "retried",
    "told_as",
]
TRIES = 4
CHECKPOINT_MILLISECONDS = 500
CONFLICTS = ("40P01", "40001")
"""PostgreSQL's codes of a deadlock and of a serialization failure: trying again helps."""
GONE = ("25006", "25P03")
"""PostgreSQL's codes of a server that takes no writes now, and of a transaction that it gave up."""
_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
}
_READS: dict[str, dict[str, Any]] = {
    "sqlite": {"steward_reads": True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
TRANSACTIONS = Counter("steward_journal_transactions_total", "Write transactions committed")
CONFLICTED = Counter(
    "steward_journal_conflicts_total", "Write transactions that another one was in the way of"
)
P = ParamSpec("P")
T = TypeVar("T")


class JournalConflictError(JournalUnavailableError):
    """Another transaction was in the way; nothing was written, and trying again helps."""


def retried(write: Callable[P, T]) -> Callable[P, T]:
    """Make a function that is one write transaction try again when another one was in its way.

    Also after an IntegrityError: on PostgreSQL two transactions may both see that a row is absent;
    the second finds it when it looks again.
    """

    @functools.wraps(write)
    def try_again(*args: P.args, **kwargs: P.kwargs) -> T:
        for number in range(1, TRIES):
            try:
                return write(*args, **kwargs)
            except (JournalConflictError, IntegrityError):
                CONFLICTED.inc()
                time.sleep(random.random() * 0.02 * number)  # noqa: S311  # to meet no more
        return write(*args, **kwargs)

    return try_again


@dataclass(slots=True)
class Transaction:
    """One write transaction: its connection, the database's time, and what to hint afterwards.

    ``counts`` is what it adds to the counters, whose rows many share: written last, before the
    commit, so that nobody waits for them long, nor holds them and waits for something else.
    """

    connection: Connection
    now: datetime
    hints: list[Hint] = field(default_factory=list)
    counts: Counts[str] = field(default_factory=Counts)


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
        self.is_postgresql = engine.dialect.name == "postgresql"
        self._clock = clock
        self._now = _NOW[engine.dialect.name]
        self._reads = _READS[engine.dialect.name]
        # SQLite has one writer: waiting here is fair, waiting in SQLite's busy loop is not.
        self._writer = threading.Lock()
        self._shared = SharedCommit(self._writer, self._transaction)

    @contextmanager
    def write(self, *, is_long: bool = False) -> Iterator[Transaction]:
        """A write transaction, committed at the end; its hints are ready after the block.

        ``is_long`` allows statements about very many rows on PostgreSQL (minutes, not seconds).

        Raises:
            JournalUnavailableError: the database is locked, full, read-only or away.

        """
        with self._exclusive(), self._transaction(is_long=is_long) as transaction:
            yield transaction

    def write_together(self, work: Callable[[Transaction], T]) -> T:
        """Do ``work`` in a write transaction that other threads of this process may share.

        Returns what it returned, after the commit. For the short writes of many threads.

        Raises:
            JournalUnavailableError: the database is locked, full, read-only or away.

        """
        if not self.is_postgresql:
            with told_as("The journal took no write"):
                return self._shared.write(work)
        with self.write() as transaction:  # PostgreSQL's commits share the disk by themselves
            return work(transaction)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading, on one snapshot.

        Raises:
            JournalUnavailableError: the database is locked or away.

        """
        with (
            told_as("The journal cannot be read"),
            self.engine.connect().execution_options(**self._reads) as connection,
        ):
            yield connection

    def now(self, connection: Connection) -> datetime:
        """The database's time (a test's clock, where one was given)."""
        if self._clock is not None:
            return self._clock.now()
        return from_microseconds(connection.exec_driver_sql(f"SELECT {self._now}").scalar_one())

    def moment(self, transaction: Transaction) -> ColumnElement[datetime]:
        """When a statement looks, for its conditions: later than all that it sees was written.

        On PostgreSQL it sees what others committed since its transaction began.
        """
        if self.is_postgresql and self._clock is None:
            return literal_column(self._now, UtcTime())
        return literal(transaction.now, UtcTime())

    @contextmanager
    def _transaction(self, *, is_long: bool = False) -> Iterator[Transaction]:
        with told_as("The journal took no write"), self.engine.begin() as connection:
            transaction = Transaction(connection, self._begin(connection, is_long=is_long))
            yield transaction
            if transaction.counts:
                from steward.journal.counters import write_down

                write_down(transaction)
        TRANSACTIONS.inc()

    def _begin(self, connection: Connection, *, is_long: bool) -> datetime:
        if not self.is_postgresql:
            return self.now(connection)
        from steward.journal.postgres import GRACE_SECONDS, LONG_SECONDS, WRITE_SECONDS, be_patient

        seconds = LONG_SECONDS if is_long else WRITE_SECONDS
        be_patient(connection, seconds + GRACE_SECONDS)
        limit = f"set_config('statement_timeout', '{seconds}s', true)"
        row = connection.exec_driver_sql(f"SELECT {self._now}, {limit}").one()  # one round trip
        return self._clock.now() if self._clock is not None else from_microseconds(row[0])

    def is_writable(self) -> bool:
        """Whether the journal takes a write now: the receiver's readiness."""
        try:
            self.try_write()
        except JournalUnavailableError:
            return False
        return True

    def try_write(self) -> None:
        """Write, and change nothing. JournalUnavailableError when it takes no write."""
        with self.write() as transaction:
            transaction.connection.execute(text("UPDATE installation SET id = id"))

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the database file; only one process may do this.

        Automatic checkpoints are off: SQLite before 3.51.3 can corrupt a database when two
        connections reset the log at once (https://sqlite.org/wal.html, "the WAL-reset bug").
        """
        if self.is_postgresql:
            return
        with (
            told_as("The journal's log was not put away"),
            self._exclusive(),
            self.engine.connect() as connection,
        ):
            raw: Any = connection.connection.driver_connection
            # It waits for readers while it keeps writers out: they are to wait less than they can.
            raw.execute(f"PRAGMA busy_timeout={CHECKPOINT_MILLISECONDS}")
            try:
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MILLISECONDS}")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _exclusive(self) -> Any:
        return nullcontext() if self.is_postgresql else self._writer


@contextmanager
def told_as(what: str) -> Iterator[None]:
    """Turn what a database cannot help into our error; what we did wrong stays what it is."""
    try:
        yield
    except IntegrityError:
        raise
    except DataError as error:
        raise UnstorableError(f"{what}: {str(error.orig).strip()}") from error
    except DBAPIError as error:
        code = getattr(error.orig, "sqlstate", None)
        sentence = f"{what}: {str(error.orig).strip()}"
        if code in CONFLICTS:
            raise JournalConflictError(sentence) from error
        is_gone = isinstance(error, OperationalError) or error.connection_invalidated
        if is_gone or code in GONE:
            raise JournalUnavailableError(sentence) from error
        raise
    except (PoolTimeoutError, sqlite3.Error) as error:  # the latter from the driver itself
        raise JournalUnavailableError(f"{what}: {error}") from error


def insert_or_ignore(connection: Connection, table: Table) -> Any:
    """An INSERT that leaves a row alone which is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
