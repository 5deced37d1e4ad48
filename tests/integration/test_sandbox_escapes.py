"""A model does what it likes in the sandbox, and none of it reaches who asked for it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from steward.clients.sandbox.client import ProcessSandbox
from steward.errors import ModelUnfitError, PermanentError
from steward.ports import ModelFiles, SandboxLimits
from tests.integration import sandbox_models
from tests.model_files import write_model

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own: at its import, and advice
ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]})
LIMITS = SandboxLimits(wall_seconds=60, cpu_seconds=60, memory_mib=1024)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ProcessSandbox]:
    sandbox = ProcessSandbox(start_seconds=240)
    sandbox.warm()
    yield sandbox
    sandbox.close()


@pytest.fixture(autouse=True)
def _nothing_is_left(sandbox: ProcessSandbox, tmp_path: Path) -> Iterator[None]:
    """After each: the runner lives, has no descendant, and serves the next good model."""
    assert sandbox._runner is not None
    runner = psutil.Process(sandbox._runner._process.pid)

    yield

    assert sandbox._runner._process.pid == runner.pid
    assert runner.is_running()
    assert descendants(runner) == []
    with sandbox.open(harmful(tmp_path / "good", sandbox_models.Model()), limits()) as model:
        assert model.predict(ROWS).tolist() == [0.0, 0.0, 0.0]


def descendants(runner: psutil.Process) -> list[psutil.Process]:
    """Those that live. The keeper says that nothing is left a moment before it ends itself."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        living = [
            one
            for one in runner.children(recursive=True)
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE
        ]
        if not living:
            break
    return living


def harmful(directory: Path, model: object) -> ModelFiles:
    return write_model(directory, model)


def limits(**changes: object) -> SandboxLimits:
    names = [
        f"{sandbox_models.__name__}.{name}"
        for name, one in vars(sandbox_models).items()
        if isinstance(one, type) and issubclass(one, sandbox_models.Model)
    ]
    values = {"wall_seconds": 60.0, "cpu_seconds": 60, "memory_mib": 1024, **changes}
    return SandboxLimits(trusted=tuple(names), **values)  # type: ignore[arg-type]


def fault(
    sandbox: ProcessSandbox, files: ModelFiles, allowed: SandboxLimits | None = None
) -> ModelUnfitError:
    with (
        pytest.raises(ModelUnfitError) as caught,
        sandbox.open(files, allowed or limits()) as model,
    ):
        model.predict(ROWS)
    return caught.value


def test_a_model_that_hangs_is_ended_at_the_limit(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    error = fault(sandbox, harmful(tmp_path, sandbox_models.Hangs()), limits(wall_seconds=5.0))

    assert error.reason == "wall"
    assert "scoring took more than 5 s" in str(error)


def test_a_model_that_hangs_while_it_loads_is_ended_at_the_limit(
    sandbox: ProcessSandbox, tmp_path: Path
) -> None:
    files = harmful(tmp_path, sandbox_models.HangsWhenLoaded())

    error = fault(sandbox, files, limits(wall_seconds=3.0))

    assert error.reason == "wall"
    assert "loading took more than 3 s" in str(error)


def test_a_model_that_computes_without_end_is_ended_at_its_cpu_time(
    sandbox: ProcessSandbox, tmp_path: Path
) -> None:
    error = fault(sandbox, harmful(tmp_path, sandbox_models.Spins()), limits(cpu_seconds=2))

    assert error.reason == "cpu"
    assert "2 s of CPU time" in str(error)


@pytest.mark.parametrize(
    ("model", "how"),
    [
        (sandbox_models.Crashes(), "SIGSEGV"),
        (sandbox_models.Aborts(), r"SIGABRT|SIGSEGV|SIGILL|exit code 127"),
        (sandbox_models.EndsSilently(), "exit code 0"),
    ],
)
def test_a_model_that_ends_its_process_is_unfit(
    sandbox: ProcessSandbox, tmp_path: Path, model: object, how: str
) -> None:
    error = fault(sandbox, harmful(tmp_path, model))

    assert error.reason == "crash"
    assert re.search(how, str(error)), str(error)


def test_a_model_that_takes_memory_without_end_is_unfit(
    sandbox: ProcessSandbox, tmp_path: Path
) -> None:
    error = fault(sandbox, harmful(tmp_path, sandbox_models.Allocates()), limits(memory_mib=256))

    assert error.reason == "memory"
    assert "scoring took more than 256 MiB of memory (MemoryError)" in str(error)


@pytest.mark.parametrize("model", [sandbox_models.LeavesDaemon(), sandbox_models.ForksWithoutEnd()])
def test_a_model_that_starts_processes_is_unfit_and_none_is_left(
    sandbox: ProcessSandbox, tmp_path: Path, model: object
) -> None:
    error = fault(sandbox, harmful(tmp_path, model))

    assert error.reason == "processes"


def test_a_model_that_prints_a_gigabyte_is_unfit(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    error = fault(sandbox, harmful(tmp_path, sandbox_models.PrintsGigabyte()))

    assert error.reason == "output"
    assert "printed more than 16 MiB" in str(error)
    assert len(str(error)) < 1000


def test_what_a_model_printed_last_is_told(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    error = fault(sandbox, harmful(tmp_path, sandbox_models.PrintsThenCrashes()))

    assert "the last words" in str(error)


def test_a_model_reaches_no_network(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    if sandbox.level == "L1":
        pytest.skip("this kernel or container allows no user namespaces: level L1")

    error = fault(sandbox, harmful(tmp_path, sandbox_models.Connects()))

    assert error.reason == "predict"
    assert "unreachable" in str(error)


def test_a_model_that_writes_a_big_file_is_unfit(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    error = fault(sandbox, harmful(tmp_path, sandbox_models.WritesBigFile()))

    assert error.reason == "predict"
    assert "File too large" in str(error)


def test_a_model_writes_nowhere_but_in_a_home_that_is_gone_after(
    sandbox: ProcessSandbox, tmp_path: Path
) -> None:
    if sandbox.level == "L1":
        pytest.skip("this kernel or container allows no user namespaces: level L1")
    target = tmp_path / "target"

    error = fault(sandbox, harmful(tmp_path, sandbox_models.WritesEverywhere(str(target))))

    assert "Read-only" in str(error)
    assert not target.exists()


def test_a_model_sees_no_secrets(
    sandbox: ProcessSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_TOKEN", "STEWARD_DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    fresh = ProcessSandbox(start_seconds=240)

    told = str(fault(fresh, harmful(tmp_path, sandbox_models.TellsEnvironment())))
    fresh.close()

    assert "PATH" in told
    assert not any(word in told for word in ("AWS_", "TRACKING", "STEWARD_"))
    home = Path(told.partition("HOME=")[2].rstrip("."))
    assert home.name.startswith("steward-model-")
    assert not home.exists()


@pytest.mark.parametrize("model", [sandbox_models.AnswersTooMuch(), sandbox_models.AnswersText()])
def test_a_model_that_answers_no_row_of_numbers_is_unfit(
    sandbox: ProcessSandbox, tmp_path: Path, model: object
) -> None:
    error = fault(sandbox, harmful(tmp_path, model))

    assert error.reason in {"output", "predict"}


def test_a_model_that_no_list_trusts_is_not_loaded(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    error = fault(sandbox, harmful(tmp_path, sandbox_models.Crashes()), LIMITS)

    assert error.reason == "content"
    assert "sandbox_models.Crashes" in str(error)


def test_a_level_that_this_machine_does_not_reach_is_refused(
    sandbox: ProcessSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sandbox._runner is not None
    monkeypatch.setattr(sandbox._runner, "level", "L1")
    files = harmful(tmp_path, sandbox_models.Model())

    with (
        pytest.raises(PermanentError, match="level L2"),
        sandbox.open(files, limits(min_level="L2")),
    ):
        pass


@pytest.mark.parametrize("level", ["L1", "L2"])
def test_a_daemon_is_found_at_either_level(
    sandbox: ProcessSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    assert sandbox._runner is not None
    monkeypatch.setattr(sandbox._runner, "level", min(level, sandbox.level))

    error = fault(sandbox, harmful(tmp_path, sandbox_models.LeavesDaemon()))

    assert error.reason == "processes"


def test_two_models_run_side_by_side(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    one = harmful(tmp_path / "one", sandbox_models.Model())
    two = harmful(tmp_path / "two", sandbox_models.Crashes())

    with sandbox.open(one, limits()) as good:
        assert fault(sandbox, two).reason == "crash"
        scores = good.predict(ROWS)
        times = good.time(ROWS, rounds=5)

    np.testing.assert_array_equal(scores, np.zeros(3))
    assert len(times) == 5
    assert min(times) > 0
