"""Model files in S3: behind MLflow's proxy, and reached by everybody directly."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from steward.cli.policy import app
from steward.clients.mlflow_registry import MlflowRegistry
from steward.events import ModelRef
from tests.conftest import require
from tests.integration.serving_support import ROW, ReplicaProcess, register_telling_version
from tests.models import client_of
from tests.s3 import CREDENTIALS, S3Server
from tests.servers import MlflowServer, eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and boto's own, at their imports
_NOBODY = {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/nowhere"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 with the buckets ``proxied`` and ``direct``."""
    require("moto", "The S3 server")
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        for bucket in ("proxied", "direct"):
            server.client().create_bucket(Bucket=bucket)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def mlflow(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow that keeps artifacts in ``proxied``, and alone knows how to."""
    directory = tmp_path_factory.mktemp("mlflow-on-s3")
    server = MlflowServer(directory, **s3.environment, **CREDENTIALS)
    server.arguments = ("--workers", "1", "--artifacts-destination", "s3://proxied/mlflow")
    try:
        yield server.start().url
    finally:
        server.stop()


def make_champion(url: str, model: str) -> str:
    version = register_telling_version(url, model)
    client_of(url).set_registered_model_alias(model, "champion", version)
    return version


def predicted(replica: ReplicaProcess) -> object:
    return replica.http.post("/invocations", json=ROW).json()["predictions"]


def test_a_replica_without_credentials_serves_what_mlflow_keeps_in_s3(
    s3: S3Server, mlflow: str, tmp_path: Path
) -> None:
    make_champion(mlflow, "proxied")
    assert [key for key in s3.keys("proxied") if key.endswith("/MLmodel")]

    with ReplicaProcess(tmp_path, "proxied", tracking_uri=mlflow, **_NOBODY) as replica:
        replica.wait_ready()
        assert predicted(replica) == [1.0]

        second = make_champion(mlflow, "proxied")
        assert replica.call("prepare", second, 2).status_code == 200
        assert replica.call("reload", second, 2).json()["version"] == "2"
        assert predicted(replica) == [2.0]


def test_an_artifact_root_in_s3_is_read_directly_by_replicas_and_validation(
    s3: S3Server, mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (s3.environment | CREDENTIALS).items():
        monkeypatch.setenv(name, value)
    root = "s3://direct/models"
    experiment = client_of(mlflow).create_experiment("direct", artifact_location=root)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)

    version = make_champion(mlflow, "direct")
    (stored,) = [key for key in s3.keys("direct") if key.endswith("/MLmodel")]

    artifacts = f"s3://direct/{stored.removesuffix('/MLmodel')}"
    registry = MlflowRegistry(mlflow)
    read = registry.signature(ModelRef("direct"), artifacts)
    assert read is not None
    assert read.is_there
    with ReplicaProcess(tmp_path, "direct", tracking_uri=mlflow) as replica:
        replica.wait_ready()
        assert (replica.served()["version"], predicted(replica)) == (version, [1.0])


def test_a_replica_that_may_not_read_the_bucket_says_so(
    s3: S3Server, mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ours:
        for name, value in (s3.environment | CREDENTIALS).items():
            ours.setenv(name, value)
        location = "s3://direct/closed"
        experiment = client_of(mlflow).create_experiment("closed", artifact_location=location)
        ours.setenv("MLFLOW_EXPERIMENT_ID", experiment)
        version = register_telling_version(mlflow, "closed")

    environment = {**s3.environment, **_NOBODY}
    with ReplicaProcess(tmp_path, "closed", tracking_uri=mlflow, **environment) as replica:
        refusal = eventually(
            lambda: (answer := replica.call("prepare", version, 1)).status_code != 200 and answer
        )

    assert "could not be fetched" in refusal.text
    assert "credentials" in refusal.text


HOLDOUT_FAR = """\
version: 1
policies:
  - name: far
    match: {models: ["*"]}
    mode: act
    production: {stage: Production}
    checks: {holdout: {uri: "s3://direct/rows.csv", label: fraud, metric: roc_auc}}
"""


def test_a_policys_rows_in_s3_are_looked_into_where_it_is_asked_for(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**s3.environment, **CREDENTIALS}.items():
        monkeypatch.setenv(name, value)
    s3.client().put_object(Bucket="direct", Key="rows.csv", Body=b"x,label\n1,0\n2,1\n")
    policy = tmp_path / "steward.yaml"
    policy.write_text(HOLDOUT_FAR)

    unasked = CliRunner().invoke(app, ["check", str(policy)])
    asked = CliRunner().invoke(app, ["check", str(policy), "--open"])

    assert (unasked.exit_code, unasked.stderr) == (0, "")
    assert "rows.csv has no column fraud (the label); it has x, label" in asked.stderr
    assert asked.exit_code == 0
