"""Real replica processes for tests, and model versions that answer with their own number."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any, Self

import httpx

from steward.signing import sign
from tests.models import _ensure_model, client_of, tracking_to
from tests.servers import FORGETFUL, Child, free_port

SECRET = "replica-secret-of-the-tests"
ROW = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0]]}}
START_SECONDS = 120.0
"""A start is 4 s of importing on an idle machine, and as many times that as others share it."""
_RUN = (
    "import sys; from serving.process import run; from steward.settings import load_settings;"
    "run(load_settings(), model=sys.argv[1], port=int(sys.argv[2]))"
)


class ReplicaProcess:
    """One replica of ``model``, started like the command line does."""

    def __init__(self, directory: Path, model: str, *, tracking_uri: str, **env: str) -> None:
        self.model = model
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._env = {
            "MLFLOW_TRACKING_URI": tracking_uri,
            "STEWARD_DATA_DIR": str(directory / "data"),
            "STEWARD_REPLICA_SECRETS": SECRET,
            "STEWARD_URL": "http://127.0.0.1:9",  # nobody receives there
            **env,
        }
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False, limits=FORGETFUL)
        self.child: Child | None = None

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", _RUN, self.model, str(self.port)]
        self.child = Child(command, self._directory / "replica.log", env=self._env)
        try:
            self.child.wait_until(self._is_alive)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self.child
        self.child.stop()
        self.http.close()

    def wait_ready(self) -> None:
        assert self.child
        self.child.wait_until(lambda: self.http.get("/readyz").is_success, START_SECONDS)

    def call(self, what: str, version: str, generation: int, *, secret: str = SECRET) -> Any:
        """A signed /prepare or /reload."""
        order = {"model": self.model, "version": version, "generation": generation}
        body = json.dumps(order).encode()
        headers = sign(secret.encode(), method="POST", path=f"/{what}", body=body)
        return self.http.post(f"/{what}", content=body, headers=headers)

    def served(self) -> Any:
        return self.http.get("/model").json()

    def _is_alive(self) -> bool:
        try:
            return self.http.get("/healthz").is_success
        except httpx.TransportError:
            return False


def register_telling_version(tracking_uri: str, model: str, *, with_example: bool = True) -> str:
    """Register a version whose every prediction is its own version number."""
    client = client_of(tracking_uri)
    _ensure_model(client, model)
    number = len(client.search_model_versions(f"name='{model}'")) + 1
    with warnings.catch_warnings(action="ignore"):  # MLflow's own, at its import
        source = _log_constant(tracking_uri, number, with_example=with_example)
    version = client.create_model_version(
        model, source, model_id=source.removeprefix("models:/"), await_creation_for=0
    )
    assert version.version == str(number) or int(version.version) == number
    return str(number)


def _log_constant(tracking_uri: str, number: int, *, with_example: bool) -> str:
    import mlflow
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from sklearn.dummy import DummyRegressor

    features = [[1.0, 3.0], [2.0, 4.0]]
    signature = ModelSignature(
        Schema([ColSpec("double", "a"), ColSpec("double", "b")]), Schema([ColSpec("double")])
    )
    estimator = DummyRegressor(strategy="constant", constant=float(number)).fit(features, [0, 1])
    with tracking_to(tracking_uri):
        logged = mlflow.sklearn.log_model(
            estimator,
            name="model",
            signature=signature,
            input_example=pd.DataFrame(**ROW["dataframe_split"]) if with_example else None,
            pip_requirements=[],
        )
    return f"models:/{logged.model_id}"


def register_broken(tracking_uri: str, model: str, directory: Path) -> str:
    """Register a version whose files are there and cannot be loaded."""
    client = client_of(tracking_uri)
    _ensure_model(client, model)
    with warnings.catch_warnings(action="ignore"):
        source = _log_constant(tracking_uri, 0, with_example=False)
    import mlflow.artifacts

    with tracking_to(tracking_uri):
        files = Path(mlflow.artifacts.download_artifacts(source, dst_path=str(directory)))
        next(files.glob("model.*")).write_bytes(b"not a model")
        run = client.create_run("0")
        client.log_artifacts(run.info.run_id, str(files), "model")
    version = client.create_model_version(
        model, f"{run.info.artifact_uri}/model", run.info.run_id, await_creation_for=0
    )
    return str(version.version)
