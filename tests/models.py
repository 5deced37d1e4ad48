"""Small model versions in a real MLflow, registered as a data scientist would, but fast."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

MODEL_WITHOUT_RUN = "s3://elsewhere/model"


def register_version(
    tracking_uri: str,
    model: str,
    *,
    auc: float | None = 0.9,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    run_tags: Mapping[str, str] | None = None,
    description: str | None = None,
    has_run: bool = True,
    real_model: bool = False,
) -> str:
    """Register one version and return its number.

    The run logs ``test_auc`` (unless ``auc`` is None) and ``metrics``. ``real_model`` logs a small
    scikit-learn model that can be loaded and has a signature; else the version has no files.
    """
    client = client_of(tracking_uri)
    _ensure_model(client, model)
    logged = {**({} if auc is None else {"test_auc": auc}), **(metrics or {})}
    run_id, model_id, source = None, None, MODEL_WITHOUT_RUN
    if real_model:
        with warnings.catch_warnings(action="ignore"):  # MLflow's own, at its import
            run_id, model_id = log_real_model(tracking_uri, logged, run_tags or {})
        source = f"models:/{model_id}"
    elif has_run:
        run = client.create_run("0", tags=dict(run_tags or {}))
        run_id, source = run.info.run_id, f"{run.info.artifact_uri}/model"
        for key, value in logged.items():
            client.log_metric(run_id, key, value)
        client.set_terminated(run_id)
    version = client.create_model_version(
        model,
        source,
        run_id,
        tags=dict(tags or {}),
        description=description,
        await_creation_for=0,
        model_id=model_id,
    )
    return str(version.version)


def client_of(tracking_uri: str) -> Any:
    """MLflow's own client of one server."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri, registry_uri=tracking_uri)


def _ensure_model(client: Any, model: str) -> None:
    from mlflow.exceptions import RestException

    try:
        client.create_registered_model(model)
    except RestException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def log_real_model(
    tracking_uri: str, metrics: Mapping[str, float], run_tags: Mapping[str, str]
) -> tuple[str, str]:
    """Log a small scikit-learn model and its metrics; returns the ids of run and logged model."""
    import mlflow
    import numpy as np
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    features = np.random.default_rng(0).normal(size=(60, 3))
    labels = (features[:, 0] > 0).astype(int)
    estimator = LogisticRegression().fit(features, labels)
    with tracking_to(tracking_uri), mlflow.start_run(tags=dict(run_tags)) as run:
        logged = mlflow.sklearn.log_model(
            estimator,
            name="model",
            signature=infer_signature(features, estimator.predict(features)),
            input_example=features[:2],
            pip_requirements=["scikit-learn"],  # inferring them costs seconds
        )
        for key, value in metrics.items():
            mlflow.log_metric(key, value, model_id=logged.model_id)
    return run.info.run_id, logged.model_id


@contextmanager
def tracking_to(tracking_uri: str) -> Iterator[None]:
    import mlflow

    variables = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    kept = {name: os.environ.get(name) for name in variables}
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
