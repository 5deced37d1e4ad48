"""Where benchmarks run: a broker, a PostgreSQL that waits for its disk, and processes."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.baselines import SECRET
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.journal.store import Journal
from steward.settings import Settings
from tests.postgres import PostgresServer
from tests.servers import ValkeyServer


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, a broker and a PostgreSQL server of one benchmark."""

    directory: Path
    broker_url: str
    postgres: PostgresServer

    def journal_url(self, database: str, name: str) -> str:
        """An empty journal's URL: ``SQLite`` or ``PostgreSQL``."""
        if database == "PostgreSQL":
            return self.postgres.database(name)
        return f"sqlite:///{self.directory / name}.db"

    def environment(self, journal_url: str, name: str) -> dict[str, str]:
        """Of a process of Steward's."""
        return {
            **os.environ,
            "STEWARD_BROKER_URL": self.broker_url,
            "STEWARD_DATABASE_URL": journal_url,
            "STEWARD_DATA_DIR": str(self.directory / name),
            "STEWARD_WEBHOOK_SECRETS": SECRET.decode(),
            "STEWARD_LOG_FORMAT": "json",
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",  # nobody asks it
        }


@contextmanager
def place(*postgres_settings: str) -> Iterator[Place]:
    """Start a broker and a PostgreSQL server, with ``fsync`` as PostgreSQL ships it."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="steward-bench-")))
        valkey = ValkeyServer(directory).start()
        stack.callback(valkey.stop)
        postgres = PostgresServer("fsync=on", *postgres_settings)
        stack.callback(postgres.remove)
        yield Place(directory, valkey.url, postgres.start())


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    """A Python module of ours as a process, ended afterwards; its pid."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def opened(url: str) -> Journal:
    """A journal of that URL, made where there is none."""
    return open_journal(Settings(database_url=url), Routing({}))


def wait_for(is_done: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait, looking four times a second.

    Raises:
        TimeoutError: it was not done in that time.

    """
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {seconds:.0f} s")
        time.sleep(0.25)
