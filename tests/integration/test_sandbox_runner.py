"""The runner is warm once, is started again when it ended, and ends with its owner."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from steward.clients.sandbox.client import ProcessSandbox
from steward.errors import ModelUnfitError, PermanentError, TransientError
from steward.ports import SandboxLimits
from tests.integration import sandbox_models
from tests.model_files import write_model

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own: at its import, and advice
ROWS = pd.DataFrame({"a": [1.0, 2.0]})
LIMITS = SandboxLimits(trusted=(f"{sandbox_models.__name__}.Model",))


@pytest.fixture
def sandbox() -> Iterator[ProcessSandbox]:
    sandbox = ProcessSandbox(start_seconds=240)
    yield sandbox
    sandbox.close()


def test_a_runner_that_ended_fails_what_runs_and_is_started_again(
    sandbox: ProcessSandbox, tmp_path: Path
) -> None:
    files = write_model(tmp_path, sandbox_models.Model())
    with sandbox.open(files, LIMITS) as model:
        runner = sandbox._runner
        assert runner is not None
        keeper = psutil.Process(runner._process.pid).children()[0]
        keeper.kill()
        runner._process.kill()
        runner._process.wait()

        with pytest.raises(TransientError):
            model.predict(ROWS)

    with sandbox.open(files, LIMITS) as model:
        assert model.predict(ROWS).tolist() == [0.0, 0.0]


def test_the_end_of_the_sandbox_leaves_no_process(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    files = write_model(tmp_path, sandbox_models.Model())
    with sandbox.open(files, LIMITS) as model:
        model.predict(ROWS)
        assert sandbox._runner is not None
        runner = psutil.Process(sandbox._runner._process.pid)
        started = [runner, *runner.children(recursive=True)]

        sandbox.close()

    assert psutil.wait_procs(started, timeout=30)[1] == []


def test_a_runner_that_does_not_get_ready_is_told_as_such() -> None:
    sandbox = ProcessSandbox(start_seconds=0.001)

    with pytest.raises(TransientError, match="did not get ready"):
        sandbox.warm()


def test_rows_that_cannot_be_sent_are_no_fault_of_the_model(
    sandbox: ProcessSandbox, tmp_path: Path
) -> None:
    files = write_model(tmp_path, sandbox_models.Model())

    with sandbox.open(files, LIMITS) as model:
        with pytest.raises(PermanentError, match="cannot be sent") as caught:
            model.predict(pd.DataFrame({"a": [1, "one"]}))
        scores = model.predict(ROWS)

    assert not isinstance(caught.value, ModelUnfitError)
    assert scores.tolist() == [0.0, 0.0]
