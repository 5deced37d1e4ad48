"""From registration to all of 3 replicas serving: ten promotions, and who spent the time.

The baseline in the same run is what nobody can save: MLflow's own requests (measured by a proxy
between Steward and MLflow) and loading the model (told by the replicas). The rest is Steward's.
"""

import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.stack import Asked, Installation, installation
from tests.models import register_version
from tests.servers import eventually

MODEL, REPLICAS, PROMOTIONS = "benchmark", 3, 10
AIM_MS = 100.0


@dataclass(frozen=True, slots=True)
class Walk:
    """One promotion, in milliseconds, and the requests to MLflow on its main path."""

    total: float
    mlflow: float
    loading: float
    requests: int

    @property
    def steward(self) -> float:
        return self.total - self.mlflow - self.loading


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        installation(Path(directory), model=MODEL, replicas=REPLICAS) as running,
    ):
        _promote(running, 0.60)  # first imports and connections are not the subject
        walks = [_promote(running, 0.61 + 0.01 * n) for n in range(PROMOTIONS)]
    _print(walks)


def _promote(running: Installation, auc: float) -> Walk:
    with warnings.catch_warnings(action="ignore"):
        version = register_version(running.mlflow, MODEL, auc=auc, real_model=True)
    eventually(lambda: _all_serve(running, version), 120, every_seconds=0.005)
    explained = eventually(lambda: _finished(running, version), 30)
    created, promoted, finished = (
        explained[name]
        for name in ("model_version.created", "model_version.promoted", "rollout.finished")
    )
    began, ended = _at(created["time"]), _at(finished["recordedat"])
    prepared = promoted["data"]["prepared"]
    loading = max((answer["seconds"] for answer in prepared), default=0.0)
    on_path = [
        each
        for each in running.asked
        if began <= each.began <= _at(promoted["recordedat"]) and "set-tag" not in each.path
    ]
    return Walk((ended - began) * 1000, _covered(on_path) * 1000, loading * 1000, len(on_path))


def _all_serve(running: Installation, version: str) -> bool:
    return all(
        httpx.get(f"{url}/model", timeout=5).json().get("version") == version
        for url in running.replicas
    )


def _finished(running: Installation, version: str) -> dict[str, dict[str, Any]] | None:
    items: Any = running.get("/api/v1/events", model=MODEL, version=version, limit="100")["items"]
    found = {item["type"]: item for item in items}
    return found if "rollout.finished" in found else None


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _covered(asked: list[Asked]) -> float:
    """Seconds during which at least one request was in the air."""
    total, until = 0.0, 0.0
    for each in sorted(asked, key=lambda one: one.began):
        total += max(0.0, each.ended - max(each.began, until))
        until = max(until, each.ended)
    return total


def _print(walks: list[Walk]) -> None:
    table = Table(
        title=f"Registration to {REPLICAS} replicas serving: {len(walks)} promotions, milliseconds"
    )
    for column in ("", "total", "in MLflow", "loading", "Steward", "aim", "MLflow requests"):
        table.add_column(column, justify="right")
    for name, choose in (("median", statistics.median), ("worst", max)):
        table.add_row(
            name,
            *(f"{choose([getattr(w, part) for w in walks]):.0f}" for part in _PARTS),
            f"< {AIM_MS:.0f}" if name == "median" else "",
            f"{choose([w.requests for w in walks]):g}",
        )
    Console(width=110).print(table)
    print(f"Measured until {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.")


_PARTS = ("total", "mlflow", "loading", "steward")

if __name__ == "__main__":
    main()
