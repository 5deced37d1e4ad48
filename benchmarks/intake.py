"""Accepted deliveries per second, 64 connections: Steward, doing nothing, and the plain way.

Interleaved rounds, medians. The same load generator, in its own process, for all three.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.baselines import SECRET
from benchmarks.places import place
from tests.servers import free_port

CONNECTIONS, SECONDS, ROUNDS = 64, 5, 3
SERVERS: dict[str, tuple[list[str], str | None]] = {
    "no-op FastAPI": (["benchmarks.baselines", "noop"], None),
    "FastAPI + send_task": (["benchmarks.baselines", "plain"], None),
    "Steward, SQLite": (["steward.cli", "receiver", "--port"], "SQLite"),
    "Steward, PostgreSQL": (["steward.cli", "receiver", "--port"], "PostgreSQL"),
}
AIMS = {"no-op FastAPI": 0.5, "FastAPI + send_task": 4.0}


def main() -> None:
    measured: dict[str, list[dict[str, object]]] = {}
    with place() as here:
        for number in range(ROUNDS):
            for name, (command, database) in SERVERS.items():
                directory = here.directory / f"{number}-{name}"
                directory.mkdir()
                settings = {}
                if database:
                    url = here.journal_url(database, f"intake_{number}")
                    settings["STEWARD_DATABASE_URL"] = url
                with _running(command, here.broker_url, directory, settings) as port:
                    measured.setdefault(name, []).append(_load(port))
    _print(measured)


@contextmanager
def _running(
    command: list[str], broker_url: str, directory: Path, settings: Mapping[str, str]
) -> Iterator[int]:
    port = free_port()
    environment = {
        **os.environ,
        "STEWARD_BROKER_URL": broker_url,
        "STEWARD_WEBHOOK_SECRETS": SECRET.decode(),
        "STEWARD_DATA_DIR": str(directory),
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *command, str(port)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        _await(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _await(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=1)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing listens on {port}")


def _load(port: int) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.load", str(port), str(CONNECTIONS), str(SECONDS)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def _print(measured: dict[str, list[dict[str, object]]]) -> None:
    rates = {name: _median(rounds, "per_second") for name, rounds in measured.items()}
    table = Table(
        title=f"Intake: {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s, medians"
    )
    columns = ("receiver", "accepted/s", "p50 ms", "p99 ms", "statuses", *(f"of {n}" for n in AIMS))
    for column in columns:
        table.add_column(column, justify="left" if column == "receiver" else "right")
    for name, rounds in measured.items():
        is_ours = name.startswith("Steward")
        table.add_row(
            name,
            f"{rates[name]:,.0f}",
            f"{_median(rounds, 'p50_ms'):.1f}",
            f"{_median(rounds, 'p99_ms'):.1f}",
            ", ".join(sorted({status for each in rounds for status in each["statuses"]})),  # type: ignore[attr-defined]
            *(f"{rates[name] / rates[other]:.2f} x" if is_ours else "" for other in AIMS),
        )
    table.add_row("aim", "", "", "", "", *(f">= {aim} x" for aim in AIMS.values()), style="dim")
    Console(width=120).print(table)


def _median(rounds: list[dict[str, object]], key: str) -> float:
    return statistics.median(float(str(each[key])) for each in rounds)


if __name__ == "__main__":
    main()
