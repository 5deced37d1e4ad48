"""The journal's connections to PostgreSQL: a server that is gone or hangs is known in seconds.

Three limits, because each sees what the others cannot: the server ends statements, waits for locks
and forgotten transactions that take too long; TCP finds a machine that is gone; and the client
stops waiting for a server that is reachable and answers nothing.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

CONNECT_SECONDS = 3
FRESH_SECONDS = 1.0
"""A connection used so lately is not asked whether it lives: that would be one question in six."""
PING_SECONDS = 1.5
"""For the question whether an idle connection still lives; with a new one, under 5 seconds."""
LOCK_SECONDS = 3
WRITE_SECONDS = 4
READ_SECONDS = 30
LONG_SECONDS = 120
"""For a statement about very many rows: a rename moves every event of a model."""
IDLE_IN_TRANSACTION_SECONDS = 15
"""A process that stands still holds a model's lock; after this, the others go on."""
GRACE_SECONDS = 0.5  # the server's own limit comes first, and says what was wrong
_SETTINGS = {
    "statement_timeout": f"{READ_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    "default_transaction_isolation": "read committed",
}
_CONNECT = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    # After a failover the old primary may still answer, read-only.
    "target_session_attrs": "read-write",
}
_USED_AT = "steward_used_at"
RV = TypeVar("RV")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server which answers nothing, and is closed by that."""

    patience_seconds: float | None = CONNECT_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        limit = self.patience_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except _WaitTimeout as error:
            if timeout is not None:
                raise
            self.pgconn.finish()  # half an answer may still come: nobody can use it again
            raise psycopg.OperationalError(
                f"the database server did not answer within {limit:g} seconds"
            ) from error


def open_postgres(url: URL, **options: Any) -> Engine:
    """An engine for PostgreSQL. What the URL itself says of the connection is left as it is."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=10,  # a worker's threads and two more: each beyond it costs a new connection
        max_overflow=4,
        pool_timeout=4,
        **options,
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "checkout", _ping)
    event.listen(engine, "checkin", _note_use)
    return engine


def be_patient(connection: Connection, seconds: float | None) -> None:
    """How long the client waits for each answer until the connection goes back to the pool."""
    driver: Any = connection.connection.driver_connection
    driver.patience_seconds = seconds


def application_name() -> str:
    """What ``pg_stat_activity`` shows: the role of this process and its pid."""
    program = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else "python"
    command = next((word for word in sys.argv[1:] if word.isalpha()), "")
    is_steward = program == "steward" or "steward" in Path(sys.argv[0]).parts
    role = command if is_steward and command else program
    return f"steward-{role}-{os.getpid()}"


def _connect(_dialect: Any, _record: Any, cargs: Any, cparams: dict[str, Any]) -> PatientConnection:
    ours: dict[str, Any] = _CONNECT | {"application_name": application_name()}
    return PatientConnection.connect(*cargs, **(ours | cparams))


def _prepare(connection: PatientConnection, _record: Any) -> None:
    # By a statement, not by the startup option: a connection pooler in between refuses that.
    settings = ", ".join(
        f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items()
    )
    connection.autocommit = True
    connection.execute(f"SELECT {settings}")
    # "off" answers before the disk has it; what is stronger than "on" is the operator's choice.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    )
    connection.autocommit = False


def _ping(connection: PatientConnection, record: Any, _proxy: Any) -> None:
    """Find out whether an idle connection still lives; the pool opens another where it does not."""
    now = time.monotonic()
    if now - record.info.get(_USED_AT, now) > FRESH_SECONDS:
        connection.patience_seconds = PING_SECONDS
        try:
            connection.execute("")
            connection.rollback()
        except psycopg.Error as error:
            raise DisconnectionError(str(error)) from error
    connection.patience_seconds = READ_SECONDS + GRACE_SECONDS


def _note_use(connection: PatientConnection | None, record: Any) -> None:
    if connection is not None:
        record.info[_USED_AT] = time.monotonic()
