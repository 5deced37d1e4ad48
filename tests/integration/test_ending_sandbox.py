"""SIGTERM ends the sandbox's runner with the worker that started it, not when nobody asks it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.integration.broker_support import FrozenRegistry, roles_on
from tests.models import register_version
from tests.servers import eventually

MODEL = "ending-sandbox"
POLICY = """
version: 1
policies:
  - name: examined
    mode: act
    match: {{models: ["{model}"]}}
    production: {{stage: Production}}
    checks:
      holdout: {{uri: "{uri}", label: label, metric: roc_auc}}
      quality: {{roc_auc: {{min: 0.5}}}}
    promote: {{first_version: hold}}
"""


@pytest.fixture
def roles(valkey_server: str, mlflow_server: str, tmp_path: Path) -> Iterator[FrozenRegistry]:
    features = np.random.default_rng(1).normal(size=(200, 3))
    rows = pd.DataFrame(features, columns=list("abc")).assign(label=features[:, 0] > 0)
    uri, policy = tmp_path / "holdout.csv", tmp_path / "steward.yaml"
    rows.astype({"label": int}).to_csv(uri, index=False)
    policy.write_text(POLICY.format(model=MODEL, uri=uri))
    settings = {"STEWARD_POLICY_FILE": str(policy), "STEWARD_BUILT_IN_POLICY": ""}
    with roles_on(tmp_path, valkey_server, mlflow_server, **settings) as roles:
        yield roles


def test_no_runner_outlives_the_worker_that_started_it(
    roles: FrozenRegistry, mlflow_server: str
) -> None:
    roles.start("poller")
    eventually(lambda: "baseline_taken" in roles.log("poller"), 60)
    worker = psutil.Process(roles.start("worker-validation").pid)
    version = register_version(mlflow_server, MODEL, real_model=True)
    eventually(lambda: roles.validated(MODEL) == [version], 120, every_seconds=0.2)
    runners = [one for one in worker.children(recursive=True) if _is_runner(one)]
    assert runners

    roles.stop("worker-validation")

    assert [one for one in runners if one.is_running()] == []


def _is_runner(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # a keeper may end meanwhile
        return "steward.clients.sandbox.runner" in process.cmdline()
    return False
