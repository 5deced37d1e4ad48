"""What one poll costs when nothing changed, on a real MLflow with 100,000 versions.

Compared with a full listing of all versions in the same run, on the same server. The registry is
written straight into MLflow's database; the poller then takes its baseline through HTTP.
"""

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from steward.clients.mlflow_registry import MlflowRegistry, configure_environment
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.settings import Settings
from tests.servers import MlflowServer
from webhook_receiver.poller import Poller

MODELS, VERSIONS_EACH = 2_000, 50
POLLS = 12
AIM = 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests, seconds and bytes of answers."""

    requests: int
    seconds: float
    megabytes: float


class Traffic:
    """Counts what MLflow's HTTP client receives in this process."""

    def __init__(self) -> None:
        import requests

        self.requests, self.bytes = 0, 0
        send = requests.Session.send

        def counted(session: Any, request: Any, **more: Any) -> Any:
            answer = send(session, request, **more)
            self.requests += 1
            self.bytes += len(answer.content)
            return answer

        requests.Session.send = counted  # type: ignore[assignment,method-assign]

    def cost_of(self, work: Callable[[], object]) -> Cost:
        requests, received, began = self.requests, self.bytes, time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        return Cost(self.requests - requests, seconds, (self.bytes - received) / 1e6)


def fill(database: Path) -> None:
    """Write the models and versions, each version with three tags, changed one minute apart."""
    week_ms, now_ms = 7 * 86_400_000, int(time.time() * 1000)
    names = [f"model-{number:04}" for number in range(MODELS)]
    times = {name: now_ms - week_ms - 60_000 * index for index, name in enumerate(names)}
    numbers = range(1, VERSIONS_EACH + 1)
    versions = [(name, number) for name in names for number in numbers]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO registered_models (name, creation_time, last_updated_time, description)"
            " VALUES (?, ?, ?, '')",
            [(name, at, at) for name, at in times.items()],
        )
        connection.executemany(
            "INSERT INTO model_versions (name, version, creation_time, last_updated_time,"
            " description, current_stage, source, run_id, status)"
            " VALUES (?, ?, ?, ?, '', ?, ?, '', 'READY')",
            [
                (
                    name,
                    number,
                    times[name],
                    times[name],
                    stage(number),
                    f"s3://models/{name}/{number}",
                )
                for name, number in versions
            ],
        )
        connection.executemany(
            "INSERT INTO model_version_tags (key, value, name, version) VALUES (?, ?, ?, ?)",
            [
                (key, value, name, number)
                for name, number in versions
                for key, value in (("validated", "true"), ("data", "v7"), ("team", "risk"))
            ],
        )
        connection.executemany(
            "INSERT INTO registered_model_aliases (alias, version, name) VALUES ('champion', ?, ?)",
            [(VERSIONS_EACH, name) for name in names],
        )


def stage(number: int) -> str:
    """The last version of each model is Production."""
    return "Production" if number == VERSIONS_EACH else "None"


def polled(poller: Poller) -> None:
    """One poll, which must end well."""
    result = poller.poll_once()
    assert result.outcome == "completed", result.problem


def listed(registry: MlflowRegistry) -> None:
    """What a poller without a watermark asks each time: every version, in the largest pages."""
    count, token = 0, None
    while True:
        page = registry._client.search_model_versions(  # noqa: SLF001  # the port has no such call
            max_results=10_000, page_token=token
        )
        count += len(page)
        token = page.token
        if not token:
            break
    assert count == MODELS * VERSIONS_EACH


def main() -> None:
    """Build the registry, take the baseline, and compare."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "300"  # a page of the listing takes long
    configure_environment()
    console = Console(width=100)
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
        directory = Path(name)
        server = MlflowServer(directory)
        try:
            server.start()
            fill(server.database)
            measure(console, server, directory)
        finally:
            server.stop()


def measure(console: Console, server: MlflowServer, directory: Path) -> None:
    """One table: a full listing, the baseline, and idle polls over a while."""
    traffic = Traffic()
    settings = Settings(data_dir=directory / "steward", _env_file=None)
    journal = open_journal(settings, Routing({}))
    registry = MlflowRegistry(server.url)
    poller = Poller(journal, registry, hint=lambda _: None, holder="bench", settings=settings)
    console.print("taking the baseline, a minute or more ...")
    baseline = traffic.cost_of(partial(polled, poller))
    polls = [traffic.cost_of(partial(polled, poller)) for _ in range(POLLS)]
    listing = traffic.cost_of(partial(listed, registry))
    idle = Cost(
        round(mean(cost.requests for cost in polls)),
        mean(cost.seconds for cost in polls),
        mean(cost.megabytes for cost in polls),
    )
    worst = max(polls, key=lambda cost: cost.seconds)
    table = Table(title=f"An idle poll of {MODELS * VERSIONS_EACH:,} versions in {MODELS:,} models")
    for heading in ("", "requests", "seconds", "of the listing", "MB"):
        table.add_column(heading, justify="left" if not heading else "right")
    for label, cost in (
        ("full listing of all versions", listing),
        ("baseline, once", baseline),
        (f"idle poll, mean of {POLLS}", idle),
        ("idle poll, slowest", worst),
    ):
        share = cost.seconds / listing.seconds
        table.add_row(
            label,
            str(cost.requests),
            f"{cost.seconds:.2f}",
            f"{share:.1%}",
            f"{cost.megabytes:.1f}",
        )
    console.print(table)
    verdict = "met" if idle.seconds <= AIM * listing.seconds else "missed"
    console.print(f"Aim: an idle poll takes at most {AIM:.0%} of a full listing: {verdict}.")
    journal.close()


if __name__ == "__main__":
    main()
