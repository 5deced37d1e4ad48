"""What an examination leaves in a real MLflow, which takes fewer names than tables have."""

import json
from dataclasses import replace
from uuid import uuid4

import mlflow
import pandas as pd
from sklearn.datasets import load_iris

from handlers.checks.drift import DriftLimits, check_drift
from handlers.examined import Examination, HoldoutUse
from handlers.findings import keep
from steward.clients.mlflow_model_store import MlflowModelStore
from steward.clients.mlflow_registry import MlflowRegistry, configure_environment
from steward.events import ModelRef
from tests.models import client_of, register_version, tracking_to
from tests.unit.world import World, make_policy


def test_columns_with_parentheses_are_kept_as_metrics_report_and_tags(mlflow_server: str) -> None:
    configure_environment()
    name = f"iris-{uuid4().hex[:8]}"
    registry = MlflowRegistry(mlflow_server)
    version = registry.version(ModelRef(name), register_version(mlflow_server, name))
    flowers = pd.concat([load_iris(as_frame=True).data] * 4)
    results = check_drift(flowers, flowers + 1, DriftLimits())
    services = replace(
        World(policy=make_policy(tags={"checks": True})).services,
        registry=registry,
        store=MlflowModelStore(mlflow_server),
    )

    address = keep(
        services, version, Examination(results, holdout=HoldoutUse("q3", "a" * 64, 600, 1))
    )

    assert address == f"runs:/{version.run_id}/validation/report.html"
    with tracking_to(mlflow_server):
        report = json.loads(mlflow.artifacts.load_text(address.replace("html", "json")))
        page = mlflow.artifacts.load_text(address)
    assert [check["name"] for check in report["checks"]] == [f"drift.{x}" for x in flowers.columns]
    assert "drift.sepal length (cm)" in page
    metrics = client_of(mlflow_server).get_run(version.run_id).data.metrics
    assert metrics["steward/drift.sepal length _cm_"] == results[0].value
    tags = client_of(mlflow_server).get_model_version(name, version.version).tags
    assert tags["steward.check.drift.petal width _cm_"] == "fail"


def test_a_metric_for_each_of_a_thousand_columns_and_more_is_kept(mlflow_server: str) -> None:
    configure_environment()
    name = f"wide-{uuid4().hex[:8]}"
    version = MlflowRegistry(mlflow_server).version(
        ModelRef(name), register_version(mlflow_server, name)
    )
    wanted = {f"steward/drift.c{number}": float(number) for number in range(1_100)}

    MlflowModelStore(mlflow_server).keep_metrics(version, wanted, dataset="q3", digest="a" * 36)

    kept = client_of(mlflow_server).get_run(version.run_id).data.metrics
    assert {key: kept[key] for key in wanted} == wanted
