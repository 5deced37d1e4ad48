"""Resident memory of each role after ten promotions, beside a Python that only imports MLflow."""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.stack import installation
from benchmarks.to_serving import MODEL, PROMOTIONS, _promote

BASELINES = {
    "python": "pass",
    "import fastapi, sqlalchemy": "import fastapi, sqlalchemy",
    "import mlflow": "import mlflow",
    "import mlflow.pyfunc, sklearn": "import mlflow.pyfunc, sklearn.linear_model",
}
_PRINT = "; import psutil; print(psutil.Process().memory_info().rss)"


def main() -> None:
    table = Table(title=f"Resident memory, MiB (roles after {PROMOTIONS} promotions)")
    table.add_column("process")
    table.add_column("MiB", justify="right")
    table.add_column("processes", justify="right")
    for name, code in BASELINES.items():
        table.add_row(name, f"{_baseline(code):.0f}", "1", style="dim")
    with (
        tempfile.TemporaryDirectory() as directory,
        installation(Path(directory), model=MODEL, replicas=1) as running,
    ):
        for number in range(PROMOTIONS):
            _promote(running, 0.6 + 0.01 * number)
        for name, pid in sorted(running.pids.items()):
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            used = sum(_private(process) for process in family)
            table.add_row(name, f"{used:.0f}", str(len(family)))
    Console(width=110).print(table)


def _private(process: psutil.Process) -> float:
    """Proportional set size where the kernel tells it: forks share most of their memory."""
    info = process.memory_full_info()
    return float(getattr(info, "pss", info.rss)) / 2**20


def _baseline(code: str) -> float:
    answer = subprocess.run(
        [sys.executable, "-c", code + _PRINT], check=True, capture_output=True, text=True
    )
    return int(answer.stdout) / 2**20


if __name__ == "__main__":
    main()
