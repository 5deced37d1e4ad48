"""A version is loaded in another process first: what it does there, it does to no replica."""

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.trial import Trial
from steward.errors import PermanentError
from tests.servers import eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own: at its import, and advice
LIMIT_SECONDS = 30.0
"""A machine that others share may need long for what takes a tenth of a second."""


def save(directory: Path, load: Callable[[], Any]) -> Path:
    """A version in files that does ``load`` when it is loaded."""
    import mlflow.pyfunc

    class Loading(mlflow.pyfunc.PythonModel):  # type: ignore[misc,unused-ignore]  # untyped base
        def load_context(self, context):  # type: ignore[no-untyped-def]  # MLflow reads them
            load()

        def predict(self, context, model_input):  # type: ignore[no-untyped-def]
            return [1.0]

    mlflow.pyfunc.save_model(directory / "model", python_model=Loading(), pip_requirements=[])
    return directory / "model"


@pytest.fixture
def trial() -> Iterator[Trial]:
    trial = Trial(seconds=LIMIT_SECONDS)
    yield trial
    trial.close()


def test_a_version_that_loads_passes_and_so_does_the_next(trial: Trial, tmp_path: Path) -> None:
    files = save(tmp_path, lambda: print('{"error": "not an answer of ours"}'))  # noqa: T201

    trial.load("1", files)
    trial.load("1", files)


def test_a_version_that_crashes_is_refused_and_the_next_one_tried(
    trial: Trial, tmp_path: Path
) -> None:
    (tmp_path / "good").mkdir()
    good = save(tmp_path / "good", lambda: None)
    crashes = save(tmp_path, lambda: ctypes.string_at(0))

    with pytest.raises(PermanentError, match=r"Version 7 does not load: .*SIGSEGV"):
        trial.load("7", crashes)

    trial.load("8", good)


def test_a_version_that_ends_its_process_is_refused(trial: Trial, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="exit code 3"):
        trial.load("1", save(tmp_path, lambda: os._exit(3)))


def test_a_version_that_raises_is_refused_in_its_own_words(trial: Trial, tmp_path: Path) -> None:
    def load() -> None:
        raise RuntimeError("compiled for another machine")

    with pytest.raises(PermanentError, match=r"^Version 1 does not load: .*another machine"):
        trial.load("1", save(tmp_path, load))


def test_a_version_that_never_ends_is_refused_at_the_limit(tmp_path: Path) -> None:
    def load() -> None:
        while True:
            pass

    trial = Trial(seconds=1)
    trial.warm()

    with pytest.raises(PermanentError, match=r"not load within 1 s \(STEWARD_LOAD_SECONDS\)"):
        trial.load("1", save(tmp_path, load))

    trial.close()


def test_a_version_that_takes_memory_without_end_is_refused(tmp_path: Path) -> None:
    def load() -> None:
        taken = []
        while True:
            taken.append(bytearray(8 << 20))
            time.sleep(0.001)

    trial = Trial(seconds=LIMIT_SECONDS, memory_mb=1000)

    with pytest.raises(PermanentError, match=r"memory to load.* 1000 MiB .*STEWARD_LOAD_MEMORY_MB"):
        trial.load("1", save(tmp_path, load))

    trial.close()


def test_the_end_of_a_trial_leaves_no_process(tmp_path: Path) -> None:
    def load() -> None:
        import subprocess

        subprocess.Popen(["sleep", "61.125"])

    before = set(psutil.Process().children(recursive=True))
    trial = Trial(seconds=LIMIT_SECONDS)
    trial.load("1", save(tmp_path, load))
    started = set(psutil.Process().children(recursive=True)) - before

    trial.close()

    assert started
    eventually(lambda: not any(process.is_running() for process in started), 10)
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "61.125"]
    ]
