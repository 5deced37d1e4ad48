"""Dispatches of a handler that does nothing, per second, beside tasks of plain Celery.

The same broker, pool (8 threads) and late acknowledgement; messages are there before the worker is.
Steward's time is from the first claim to the last record, as the journal has them.
"""

import json
import statistics
import sys
import time
from datetime import timedelta

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from benchmarks.places import Place, opened, place, running, wait_for
from benchmarks.plain_worker import plain_app
from steward.broker import celery_app
from steward.events import EventType, ModelRef, NewEvent
from steward.journal.routing import Planned
from steward.journal.schema import attempts, dispatches
from steward.journal.store import Journal
from steward.journal.writing import EventWriter

DISPATCHES, ROUNDS, AIM = 3000, 3, 0.6
PLAIN, DATABASES = "plain Celery", ("SQLite", "PostgreSQL")


def main(count: int = DISPATCHES, rounds: int = ROUNDS) -> None:
    measured: dict[str, list[float]] = {}
    with place() as here:
        for number in range(rounds):
            measured.setdefault(PLAIN, []).append(_plain(here, count, number))
            for database in DATABASES:
                measured.setdefault(database, []).append(_steward(here, count, database, number))
    _print(measured, count)


def _plain(here: Place, count: int, number: int) -> float:
    file = here.directory / f"plain-{number}.json"
    environment = here.environment("", "plain")
    app = plain_app(here.broker_url)
    for each in range(count):
        app.send_task("handle", args=[{"id": each}, time.time()])
    with running(["benchmarks.plain_worker", str(file), str(count)], environment):
        wait_for(file.exists)
    began = [each for _, each in json.loads(file.read_text())]
    return (count - 1) / (began[-1] - began[0])


def _steward(here: Place, count: int, database: str, number: int) -> float:
    name = f"drain_{number}"
    url = here.journal_url(database, name)
    journal = opened(url)
    app = celery_app(here.broker_url)
    for dispatch_id in _seed(journal, count):
        app.send_task("noop", args=[dispatch_id], queue="default")
    environment = here.environment(url, name)
    with running(["benchmarks.noop", "worker", "--queue", "default"], environment):
        wait_for(lambda: _ended(journal) == count)
    with journal.read() as connection:
        query = select(func.min(attempts.c.started_at), func.max(attempts.c.ended_at))
        first, last = connection.execute(query).one()
    journal.close()
    return count / ((last - first) / timedelta(seconds=1))


def _seed(journal: Journal, count: int) -> list[str]:
    planned = [Planned("noop", "", "default", None)]
    with journal.write() as transaction:
        writer = EventWriter(journal, transaction)
        for number in range(count):
            model = ModelRef(f"model-{number % 200}")
            new = NewEvent(EventType.VERSION_CREATED, model, str(number // 200 + 1))
            writer.dispatch(writer.add(new, seen=1, is_routed=False), planned)
        writer.flush()
    return [hint.dispatch_id for hint in transaction.hints]


def _ended(journal: Journal) -> int:
    ended = select(func.count()).where(dispatches.c.state == "succeeded")
    with journal.read() as connection:
        return int(connection.execute(ended).scalar_one())


def _print(measured: dict[str, list[float]], count: int) -> None:
    baseline = statistics.median(measured[PLAIN])
    table = Table(title=f"{count:,} no-op dispatches, 8 threads, medians of {len(measured[PLAIN])}")
    for column in ("", "per second", "rounds", "of plain Celery", "aim"):
        table.add_column(column, justify="right" if column else "left")
    for name, rates in measured.items():
        is_plain = name == PLAIN
        rate = statistics.median(rates)
        table.add_row(
            name if is_plain else f"Steward, {name}",
            f"{rate:,.0f}",
            " ".join(f"{each:,.0f}" for each in rates),
            "" if is_plain else f"{rate / baseline:.2f} x",
            "" if is_plain else f">= {AIM} x",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
