"""`steward up` from its first start to its last: it carries on, refuses, and leaves nothing."""

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, steward


@dataclass(frozen=True)
class Life:
    """What was seen of one installation: started, stopped, started again, crashed."""

    version: str
    production: list[str]
    token: str
    token_again: str
    serving_again: list[str | None]
    production_again: list[str]
    verdict_again: str
    exit_code: int
    seconds_to_end: float
    left_after_end: list[int]
    has_up_json_after_end: bool
    left_after_crash: list[int]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """The one installation of this file that is started twice; MLflow's starts are the cost."""
    stack = Installation(tmp_path_factory.mktemp("life") / "data", serve=("fraud",), replicas=1)
    try:
        stack.start()
        version = stack.promote("fraud", auc=0.9, real_model=True)
        stack.settle("fraud")
        token, production = _token(stack), stack.in_production("fraud")
        began = time.monotonic()
        exit_code = stack.stop()
        seconds, left = time.monotonic() - began, stack.left()
        has_up_json = (stack.data_dir / "up.json").exists()

        stack.start()
        again = stack.serving("fraud")
        verdict = stack.verdict("fraud", version)["verdict"]
        production_again, token_again = stack.in_production("fraud"), _token(stack)
        stack.crash()
        return Life(
            version=version,
            production=production,
            token=token,
            token_again=token_again,
            serving_again=again,
            production_again=production_again,
            verdict_again=verdict,
            exit_code=exit_code,
            seconds_to_end=seconds,
            left_after_end=left,
            has_up_json_after_end=has_up_json,
            left_after_crash=_left_after(stack, seconds=20),
        )
    finally:
        stack.clear_up()


def test_it_ends_within_ten_seconds_and_leaves_no_process(life: Life) -> None:
    assert life.left_after_end == []
    assert life.seconds_to_end < 10
    assert life.exit_code == 0
    assert not life.has_up_json_after_end


def test_a_second_start_carries_on_where_the_first_stopped(life: Life) -> None:
    assert life.production == life.production_again == [life.version]
    assert life.token == life.token_again
    assert life.verdict_again == "promoted"


def test_replicas_serve_production_as_soon_as_everything_is_ready_again(life: Life) -> None:
    assert life.serving_again == [life.version]


def test_a_supervisor_that_is_killed_leaves_no_process_either(life: Life) -> None:
    assert life.left_after_crash == []


def test_a_second_steward_on_the_same_data_is_refused(house: Installation) -> None:
    answer = steward(["up", "--data-dir", str(house.data_dir)], env={}, cwd=house.data_dir.parent)

    assert answer.returncode == 2
    assert f"Steward runs in {house.data_dir} already" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert house.get("/health")["status"] == "ok"


@pytest.mark.parametrize("option", ["--port", "--mlflow-port", "--replica-port"])
def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        answer = steward(
            ["up", "--data-dir", str(tmp_path / "data"), option, port, "--serve", "fraud"],
            env={},
            cwd=tmp_path,
        )

    assert answer.returncode == 2
    assert f"Port {port} for " in answer.stderr
    assert " is taken" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_what_it_prints_lets_a_newcomer_go_on(house: Installation) -> None:
    for part in (
        house.url,
        house.mlflow_url,
        *house.replica_urls("fraud"),
        "the built-in policy, mode act",
        f"export MLFLOW_TRACKING_URI={house.mlflow_url}",
        "steward events list",
    ):
        assert part in house.said
    assert (house.data_dir / "token").stat().st_mode & 0o777 == 0o600
    assert house.up["pids"].keys() >= {"broker", "mlflow", "receiver", "poller", "replica-4"}


def _token(stack: Installation) -> str:
    return (stack.data_dir / "token").read_text()


def _left_after(stack: Installation, *, seconds: float) -> list[int]:
    """Which processes live still; asked until there are none, or that long."""
    deadline = time.monotonic() + seconds
    while (left := stack.left()) and time.monotonic() < deadline:
        threading.Event().wait(0.1)
    return left
