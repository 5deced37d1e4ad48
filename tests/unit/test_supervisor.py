"""The supervisor of the local stack: it restarts what dies, waits longer each time, leaves none."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.cli.supervisor import Program, Supervisor
from tests.servers import eventually

STAY = (sys.executable, "-c", "import signal; signal.pause()")
STUBBORN = (
    sys.executable,
    "-c",
    (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"
        "while True: signal.pause()"
    ),
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs", said.append, lambda: None)
    yield supervisor
    supervisor.end()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def looked(supervisor: Supervisor) -> bool:
    supervisor.look()
    return True


def test_a_child_that_dies_is_started_again_and_said_so(supervisor: Supervisor, said: list[str]):
    supervisor.start(Program("worker", STAY, {}))
    before = supervisor.pids["worker"]
    os.kill(before, 9)

    after = eventually(
        lambda: looked(supervisor) and supervisor.pids.get("worker", before) != before, 10
    )

    assert after
    assert said[0].startswith("worker ended (signal 9); starting it again in 0.5 s.")


def test_a_child_that_dies_at_once_is_started_again_ever_more_rarely(
    supervisor: Supervisor, said: list[str]
):
    began = time.monotonic()
    supervisor.start(Program("worker", (sys.executable, "-S", "-c", "raise SystemExit(3)"), {}))

    eventually(lambda: looked(supervisor) and len(said) == 3, 10)

    waits = [text.partition("starting it again in ")[2].partition(" s.")[0] for text in said]
    assert waits == ["0.5", "1", "2"]
    assert all("worker ended (exit code 3)" in text for text in said)
    assert time.monotonic() - began > 0.5 + 1


def test_a_child_that_keeps_dying_waits_no_longer_than_half_a_minute(
    supervisor: Supervisor, said: list[str]
):
    supervisor.start(Program("worker", STAY, {}))
    supervisor._children["worker"].back_off_seconds = 20.0
    for _ in range(2):
        os.kill(supervisor._children["worker"].process.pid, 9)
        already = len(said)
        eventually(lambda already=already: looked(supervisor) and len(said) > already, 10)
        supervisor._children["worker"].restart_at = time.monotonic()
        eventually(lambda: looked(supervisor) and "worker" in supervisor.pids, 10)

    assert "again in 20 s" in said[0]
    assert "again in 30 s" in said[1]


def test_a_child_that_ran_well_for_long_is_started_again_soon(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("steward.cli.supervisor.WELL_AFTER_SECONDS", 0.0)
    supervisor.start(Program("worker", STAY, {}))
    supervisor._children["worker"].back_off_seconds = 20.0
    os.kill(supervisor.pids["worker"], 9)

    eventually(lambda: looked(supervisor) and said, 10)

    assert "again in 0.5 s" in said[0]


def test_a_child_that_cannot_be_started_again_now_is_tried_later(
    supervisor: Supervisor, said: list[str], tmp_path: Path
):
    supervisor.start(Program("worker", STAY, {}))
    before = supervisor.pids["worker"]
    log = supervisor.log_of("worker")
    log.unlink()
    log.mkdir()  # nothing can be written there: as on a full disk
    os.kill(before, 9)
    eventually(lambda: looked(supervisor) and any("cannot be started now" in s for s in said), 10)
    log.rmdir()

    eventually(lambda: looked(supervisor) and "worker" in supervisor.pids, 10)

    assert not is_gone(supervisor.pids["worker"])


def test_the_end_leaves_no_process_however_stubborn(supervisor: Supervisor, monkeypatch):
    monkeypatch.setattr("steward.cli.supervisor.END_SECONDS", 1.0)
    supervisor.start(Program("stubborn", STUBBORN, {}))
    pid = supervisor.pids["stubborn"]
    eventually(lambda: "up" in supervisor.log_of("stubborn").read_text(), 10)

    supervisor.end()

    assert is_gone(pid)
    supervisor._children.clear()
