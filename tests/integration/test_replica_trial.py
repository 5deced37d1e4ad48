"""A version is loaded in another process first: what it does there, it does to no replica."""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.trial import Trial
from steward.errors import PermanentError, TransientError
from tests.integration.serving_support import ReplicaProcess
from tests.servers import eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own: at its import, and advice
LIMIT_SECONDS = 30.0
"""A machine that others share may need long for what takes a tenth of a second."""
START_SECONDS = 60.0


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


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    """One for all whose versions do it no harm: its start takes longer than they do."""
    trial = Trial(seconds=LIMIT_SECONDS, start_seconds=START_SECONDS)
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

    trial = Trial(seconds=1, start_seconds=START_SECONDS)
    trial.warm()

    with pytest.raises(PermanentError, match=r"within 1 s.* STEWARD_LOAD_SECONDS.*reload\.timeout"):
        trial.load("1", save(tmp_path, load))

    trial.close()


def test_a_version_that_takes_memory_without_end_is_refused(tmp_path: Path) -> None:
    def load() -> None:
        taken = []
        while True:
            taken.append(bytearray(8 << 20))
            time.sleep(0.001)

    trial = Trial(seconds=LIMIT_SECONDS, memory_mb=1000, start_seconds=START_SECONDS)

    with pytest.raises(PermanentError, match=r"memory to load.* 1000 MiB .*STEWARD_LOAD_MEMORY_MB"):
        trial.load("1", save(tmp_path, load))

    trial.close()


def test_the_end_of_a_trial_leaves_no_process(tmp_path: Path) -> None:
    def load() -> None:
        subprocess.Popen(["sleep", "61.125"])

    before = set(psutil.Process().children(recursive=True))
    trial = Trial(seconds=LIMIT_SECONDS, start_seconds=START_SECONDS)
    trial.load("1", save(tmp_path, load))
    started = set(psutil.Process().children(recursive=True)) - before

    trial.close()

    assert started
    eventually(lambda: not any(process.is_running() for process in started), 10)
    assert not is_running("sleep", "61.125")


def test_a_version_that_forks_as_it_loads_passes_and_leaves_no_fork(
    trial: Trial, tmp_path: Path
) -> None:
    def load() -> None:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        (tmp_path / "pid").write_text(str(pid))

    trial.load("1", save(tmp_path, load))

    eventually(lambda: not psutil.pid_exists(int((tmp_path / "pid").read_text())), 10)


def test_a_version_that_never_ends_its_message_is_refused_at_the_limit(tmp_path: Path) -> None:
    def drip(fd: int, _mode: str) -> None:
        while True:
            os.write(fd, b" ")

    def load() -> None:
        os.fdopen = drip  # type: ignore[assignment]  # by which it tells what came of it

    trial = Trial(seconds=1, start_seconds=START_SECONDS)

    with pytest.raises(PermanentError, match="not load within 1 s"):
        trial.load("1", save(tmp_path, load))

    trial.close()


def test_what_a_version_started_ends_with_a_trial_that_hangs(tmp_path: Path) -> None:
    def load() -> None:
        subprocess.Popen(["sleep", "61.375"])
        os.kill(os.getppid(), signal.SIGSTOP)
        signal.pause()

    trial = Trial(seconds=4, start_seconds=START_SECONDS)  # in which it comes to stop the trial

    with pytest.raises(TransientError, match="hangs"):
        trial.load("1", save(tmp_path, load))

    eventually(lambda: not is_running("sleep", "61.375"), 10)


def test_memory_that_a_trial_has_before_it_loads_a_version_is_not_counted(tmp_path: Path) -> None:
    def load() -> None:
        time.sleep(0.3)  # it is looked at while it loads

    files = save(tmp_path, load)
    trial = Trial(
        seconds=LIMIT_SECONDS, memory_mb=100, start_seconds=START_SECONDS
    )  # MLflow alone has more

    trial.load("1", files)

    trial.close()


def test_a_trial_that_cannot_be_started_is_to_be_tried_again() -> None:
    trial = Trial(seconds=1, start_seconds=START_SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(TransientError, match="No version can be tried now"):
            trial.warm()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_version_that_comes_while_a_trial_starts_is_to_be_tried_again(
    tmp_path: Path,
) -> None:
    files = save(tmp_path, lambda: None)
    trial = Trial(seconds=LIMIT_SECONDS, start_seconds=0.1)

    with pytest.raises(TransientError, match="still starting"):
        trial.load("1", files)

    eventually(lambda: has_loaded(trial, files), LIMIT_SECONDS)
    trial.close()


def test_a_replica_starts_its_trial_before_there_is_a_version(tmp_path: Path) -> None:
    with ReplicaProcess(tmp_path, "none", tracking_uri="http://127.0.0.1:9") as replica:
        assert replica.child
        assert is_running("serving.trial_process", parent=replica.child.pid)


def has_loaded(trial: Trial, files: Path) -> bool:
    """Whether it came to be tried."""
    try:
        trial.load("1", files)
    except TransientError:
        return False
    return True


def is_running(*command: str, parent: int | None = None) -> bool:
    """Whether a process runs whose command line ends like this."""
    return any(
        tuple(process.info["cmdline"] or ())[-len(command) :] == command
        and parent in (None, process.info["ppid"])
        for process in psutil.process_iter(["cmdline", "ppid"])
    )
