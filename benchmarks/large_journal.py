"""A journal of five million events on PostgreSQL beside an almost empty one.

The operators' listing with every filter, what metrics ask, what the sweep and claims ask, and the
intake. ``python -m benchmarks.large_journal 100000`` is a quick look.
"""

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from benchmarks.filling import fill
from benchmarks.intake import _load, _running
from benchmarks.places import Place, opened, place
from steward.journal import claims, queries, sweeping, vitals
from steward.journal.queries import EventFilter
from steward.journal.store import Journal

EVENTS, EMPTY, REPEATS, ROUNDS = 5_000_000, 1000, 30, 3
AIM_MS = 50.0
LIMIT = 50
Measured = dict[str, tuple[float, float]]


def main(events: int = EVENTS) -> None:
    console = Console(width=110)
    with place("shared_buffers=1GB", "max_wal_size=4GB") as here:
        urls = {}
        for name, count in (("small", EMPTY), ("large", events)):
            url = urls[name] = here.postgres.database(name)
            opened(url).close()
            for what, seconds in fill(url, count):
                console.print(f"{name}: {what} after {seconds:.0f} s")
        small, large = opened(urls["small"]), opened(urls["large"])
        questions = _questions(events)
        _print_questions(console, _ask(small, questions), _ask(large, questions), events)
        small.close()
        large.close()
        _print_intake(console, here, urls)


def _questions(events: int) -> dict[str, Callable[[Journal], object]]:
    """What is asked, by its name."""
    now = datetime.now(UTC)
    filters = {
        "none": EventFilter(),
        "type": EventFilter(type="model_version.created"),
        "type, rare": EventFilter(type="dispatch.died"),
        "type=model_version*": EventFilter(type="model_version*"),
        "model": EventFilter(model="model-1500"),
        "model, of many events": EventFilter(model="model-7"),
        "model and version": EventFilter(model="model-7", version="3"),
        "model=model-15*": EventFilter(model="model-15*"),
        "status=open": EventFilter(status="open"),
        "status=waiting": EventFilter(status="waiting"),
        "status=done": EventFilter(status="done"),
        "status=dead": EventFilter(status="dead"),
        "source": EventFilter(source="mlflow/default"),
        "source, rare": EventFilter(source="operator/alice"),
        "seen_by=webhook": EventFilter(seen_by="webhook"),
        "seen_by=poll": EventFilter(seen_by="poll"),
        "seen_by=both": EventFilter(seen_by="both"),
        "seen_by=self": EventFilter(seen_by="self"),
        "since an hour ago": EventFilter(since=now - timedelta(hours=1)),
        "until a year ago": EventFilter(until=now - timedelta(days=365)),
        "a day a year ago": EventFilter(
            since=now - timedelta(days=366), until=now - timedelta(days=365)
        ),
        "q, frequent": EventFilter(text="model-150"),
        "q, found nowhere": EventFilter(text="no such words"),
        "registry and workspace": EventFilter(registry="default", workspace=""),
        "dead of a model": EventFilter(status="dead", model="model-7"),
        "dead of a type, a year ago": EventFilter(
            status="dead", type="model_version.created", until=now - timedelta(days=365)
        ),
        "poll and type": EventFilter(seen_by="poll", type="model_version.created"),
        "type and source": EventFilter(type="model_version.validated", source="mlflow/default"),
        "model, type and done": EventFilter(
            model="model-7", type="model_version.created", status="done"
        ),
    }
    deep = queries._cursor(max(events // 3, 100))  # noqa: SLF001  # the cursor of a far page
    asked: dict[str, Callable[[Journal], object]] = {}
    for name, which in filters.items():
        asked[f"list: {name}"] = _listing(which, None)
    for name in ("none", "type", "model, of many events", "status=dead", "seen_by=webhook"):
        asked[f"page far back: {name}"] = _listing(filters[name], deep)
    return asked | {
        "vitals (metrics, health)": vitals.read,
        "sweep: what is due": sweeping.due,
        "sweep: ended leases": lambda journal: sweeping.expire(journal, deaths_allowed=3),
        "claim of what is done": lambda journal: claims.claim(
            journal, _dispatch_id(events // 2), "benchmark", lease_seconds=60
        ),
    }


def _dispatch_id(number: int) -> str:
    from hashlib import md5

    digest = md5(str(number).encode()).hexdigest()[:12]  # noqa: S324  # as filling.py numbers them
    return f"{number >> 16:08x}-{number & 65535:04x}-7000-b000-{digest}"


def _listing(which: EventFilter, cursor: str | None) -> Callable[[Journal], object]:
    def ask(journal: Journal) -> object:
        with journal.read() as connection:
            return queries.list_events(connection, which, cursor=cursor, limit=LIMIT)

    return ask


def _ask(journal: Journal, questions: dict[str, Callable[[Journal], object]]) -> Measured:
    found: Measured = {}
    for name, ask in questions.items():
        ask(journal)
        took = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            ask(journal)
            took.append((time.perf_counter() - began) * 1000)
        found[name] = (statistics.median(took), sorted(took)[int(len(took) * 0.95)])
    return found


def _print_questions(console: Console, small: Measured, large: Measured, events: int) -> None:
    table = Table(title=f"Milliseconds: a journal of {EMPTY:,} events and one of {events:,}")
    for column in ("", "small p50", "small p95", "large p50", "large p95", "aim"):
        table.add_column(column, justify="right" if column else "left")
    for name, (median, late) in large.items():
        verdict = "" if late < AIM_MS else " missed"
        row = (*small[name], median, late)
        table.add_row(name, *(f"{each:.1f}" for each in row), f"p95 < {AIM_MS:.0f}{verdict}")
    console.print(table)


def _print_intake(console: Console, here: Place, urls: dict[str, str]) -> None:
    rates: dict[str, list[float]] = {name: [] for name in urls}
    late: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(ROUNDS):
        for name, url in urls.items():
            environment = {"STEWARD_DATABASE_URL": url}
            directory = here.directory / f"intake-{name}-{number}"
            directory.mkdir()
            command = ["steward.cli", "receiver", "--port"]
            with _running(command, here.broker_url, directory, environment) as port:
                found = _load(port)
            rates[name].append(float(str(found["per_second"])))
            late[name].append(float(str(found["p99_ms"])))
    table = Table(title=f"Intake on PostgreSQL, medians of {ROUNDS}")
    for column in ("journal", "accepted/s", "p99 ms", "of small", "aim"):
        table.add_column(column, justify="left" if column == "journal" else "right")
    for name in urls:
        rate = statistics.median(rates[name])
        of_small = f"{rate / statistics.median(rates['small']):.2f} x"
        aim = ">= 0.9 x" if name == "large" else ""
        table.add_row(name, f"{rate:,.0f}", f"{statistics.median(late[name]):.0f}", of_small, aim)
    console.print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
