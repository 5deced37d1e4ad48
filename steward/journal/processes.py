"""Who runs: each receiver, worker and poller writes a row of its own, and removes it at its end.

Health is derived from these rows, so that the receiver need ask neither broker nor workers. Times
are the database's; a process's own clock is only compared with it.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection, delete, insert, select, update

from steward import __version__
from steward.errors import StewardError
from steward.journal.migrate import HEAD
from steward.journal.schema import processes
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.ports import Clock

SIGN_EVERY_SECONDS = 15.0
GONE_AFTER = timedelta(seconds=50)
"""Three signs missed, and a moment: nobody counts on this process any more."""
FORGOTTEN_AFTER = timedelta(days=1)
CLOCK_EVERY_SECONDS = 60.0
CLOCK_TOLERANCE_SECONDS = 5.0
LONGEST_ROUND_TRIP_SECONDS = 2.0
"""A slower answer of the database says too little about its clock."""
SOFTWARE = f"{__version__} (journal {HEAD})"


@dataclass(frozen=True, slots=True)
class Canary:
    """How long ago (seconds) the broker took a canary, and one came back; None: never yet."""

    published_seconds_ago: float | None = None
    returned_seconds_ago: float | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """One row: who it is, its last sign, and how its clock and its consuming are."""

    name: str
    role: str
    queue: str | None
    software: str
    started_at: datetime
    seen_at: datetime
    clock_skew_seconds: float | None
    published_at: datetime | None
    canary_at: datetime | None


def process_name(role: str) -> str:
    """Names this process in leases, attempts and its own row."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


class Presence:
    """Writes this process's row every 15 s from a thread; ``close`` removes it.

    ``role`` is receiver, worker or poller; ``canary`` is asked by workers' rows. The journal is
    used inside of ``around()`` alone.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        name: str,
        role: str,
        clock: Clock | None = None,
        queue: str | None = None,
        canary: Callable[[], Canary] = Canary,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._journal = journal
        self._name, self._role, self._queue = name, role, queue
        self._here = clock.now if clock else partial(datetime.now, UTC)
        self._canary = canary
        self._around = around
        self._skew_seconds: float | None = None
        self._measure_at = 0.0
        self._is_well = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = get_logger()

    def start(self) -> None:
        """Sign now and from now on."""
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop, and remove the row: this is a clean end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)
        try:
            with self._around(), self._journal.write() as transaction:
                transaction.connection.execute(
                    delete(processes).where(processes.c.name == self._name)
                )
        except StewardError as error:
            self._log.warning("sign_not_removed", error=str(error))

    def sign(self) -> None:
        """Write the row once; measure the clock about once a minute."""
        with self._around():
            self._sign()

    # -- inside ---------------------------------------------------------------------------------

    def _sign(self) -> None:
        if time.monotonic() >= self._measure_at:
            self._measure_clock()
            self._measure_at = time.monotonic() + CLOCK_EVERY_SECONDS
        canary = self._canary()
        with self._journal.write() as transaction:
            now, connection = transaction.now, transaction.connection
            values = {
                "role": self._role,
                "queue": self._queue,
                "software": SOFTWARE,
                "seen_at": now,
                "clock_skew_microseconds": _microseconds(self._skew_seconds),
                "published_at": _before(now, canary.published_seconds_ago),
                "canary_at": _before(now, canary.returned_seconds_ago),
            }
            ours = update(processes).where(processes.c.name == self._name).values(values)
            if connection.execute(ours).rowcount == 0:
                row = {**values, "name": self._name, "started_at": now}
                connection.execute(insert(processes).values(row))
            connection.execute(delete(processes).where(processes.c.seen_at < now - FORGOTTEN_AFTER))

    def _run(self) -> None:
        while True:
            try:
                self.sign()
                self._is_well = True
            except Exception as error:  # noqa: BLE001  # the next sign may be written
                if self._is_well:
                    self._log.warning("sign_not_written", error=str(error))
                self._is_well = False
            if self._stop.wait(SIGN_EVERY_SECONDS):
                return

    def _measure_clock(self) -> None:
        skew, took = clock_skew(self._journal, self._here)
        if took > LONGEST_ROUND_TRIP_SECONDS:
            return
        self._skew_seconds = skew
        if abs(self._skew_seconds) > CLOCK_TOLERANCE_SECONDS:
            self._log.warning(
                "clock_skewed", seconds=round(self._skew_seconds, 1), against="the database's clock"
            )


def clock_skew(journal: Journal, here: Callable[[], datetime] | None = None) -> tuple[float, float]:
    """How far a clock is ahead of the database's (default: this machine's), and what asking took.

    Both in seconds; half of what it took is allowed for.
    """
    with journal.read() as connection:
        began, now = time.monotonic(), here() if here else datetime.now(UTC)
        there = journal.now(connection)
        took = time.monotonic() - began
    return (now - there).total_seconds() + took / 2, took


def read(connection: Connection) -> tuple[Process, ...]:
    """Every row, by role and name; also of processes that did not end cleanly."""
    query = select(processes).order_by(processes.c.role, processes.c.queue, processes.c.name)
    return tuple(
        Process(
            row.name,
            row.role,
            row.queue,
            row.software,
            row.started_at,
            row.seen_at,
            None if row.clock_skew_microseconds is None else row.clock_skew_microseconds / 1e6,
            row.published_at,
            row.canary_at,
        )
        for row in connection.execute(query)
    )


def _before(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now - timedelta(seconds=seconds)


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)
