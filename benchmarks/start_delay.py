"""How soon after the journal has a dispatch a worker begins it, at a hundred events a second.

Signed deliveries at a fixed rate, whatever the answers, to a real receiver; a real worker, whose
handler does nothing. Beside it FastAPI that verifies and calls ``send_task``, whose task notes its
start.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from benchmarks.intake import _await
from benchmarks.load import requests
from benchmarks.places import Place, opened, place, running, wait_for
from steward.journal.schema import attempts, dispatches
from tests.servers import free_port

PER_SECOND, SECONDS = 100, 20
PLAIN = "FastAPI + send_task + Celery"


def main(seconds: int = SECONDS) -> None:
    found: dict[str, list[float]] = {}
    with place() as here:
        found[PLAIN] = _plain(here, seconds)
        for database in ("SQLite", "PostgreSQL"):
            found[f"Steward, {database}"] = _steward(here, database, seconds)
    _print(found, seconds)


def _plain(here: Place, seconds: int) -> list[float]:
    file, count = here.directory / "plain.json", PER_SECOND * seconds
    environment = here.environment("", "plain")
    worker = ["benchmarks.plain_worker", str(file), str(count)]
    receiver = ["benchmarks.baselines", "plain"]
    with running(worker, environment), _receiving(receiver, environment) as port:
        _send(port, seconds)
        wait_for(file.exists, 60)
    return sorted((began - sent) * 1000 for sent, began in json.loads(file.read_text()))


def _steward(here: Place, database: str, seconds: int) -> list[float]:
    url = here.journal_url(database, "start_delay")
    environment, count = here.environment(url, "start_delay"), PER_SECOND * seconds
    journal = opened(url)
    started = (
        select(attempts.c.started_at, dispatches.c.created_at)
        .join(dispatches, dispatches.c.id == attempts.c.dispatch_id)
        .where(attempts.c.number == 1)
    )

    def delays() -> list[float]:
        with journal.read() as connection:
            rows = connection.execute(started).all()
        return sorted((began - made) / timedelta(milliseconds=1) for began, made in rows)

    worker = ["benchmarks.noop", "worker", "--queue", "default"]
    receiver = ["benchmarks.noop", "receiver", "--port"]
    with running(worker, environment), _receiving(receiver, environment) as port:
        _send(port, seconds)
        # Without a sweep nothing repeats a lost hint: all must have come the first way.
        wait_for(lambda: len(delays()) >= count, 60)
    found = delays()
    journal.close()
    return found


@contextmanager
def _receiving(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    port = free_port()
    with running([*command, str(port)], environment):
        _await(port)
        time.sleep(5)  # the worker beside it has to be ready as well
        yield port


def _send(port: int, seconds: int) -> None:
    """In a process of its own, that nothing here delays it."""
    command = [sys.executable, "-m", "benchmarks.start_delay", "send", str(port), str(seconds)]
    subprocess.run(command, check=True)


async def _send_all(port: int, seconds: int) -> None:
    """Each at its time, on as many connections as that takes."""
    began, refused = time.perf_counter(), 0

    async def one(number: int, request: bytes) -> None:
        nonlocal refused
        await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        refused += b" 202 " not in await reader.readline()
        writer.close()

    prepared = requests(PER_SECOND * seconds)
    began = time.perf_counter() + 0.5
    await asyncio.gather(*(one(number, each) for number, each in enumerate(prepared)))
    if refused:
        raise SystemExit(f"{refused} deliveries were not accepted")


def _print(found: dict[str, list[float]], seconds: int) -> None:
    table = Table(title=f"Start delay at {PER_SECOND} events/s for {seconds} s, ms")
    for column in ("", "p50", "p99", "longest", "events"):
        table.add_column(column, justify="right" if column else "left")
    for name, delays in found.items():
        picked = (delays[len(delays) // 2], delays[int(len(delays) * 0.99)], delays[-1])
        table.add_row(name, *(f"{each:.1f}" for each in picked), f"{len(delays):,}")
    Console(width=110).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        asyncio.run(_send_all(int(sys.argv[2]), int(sys.argv[3])))
    else:
        main(*map(int, sys.argv[1:]))
