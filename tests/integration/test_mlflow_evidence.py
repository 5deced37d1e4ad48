"""What only a real MLflow shows: logged models, NaN told as zero, deleted runs, signatures."""

import math
from typing import Any
from uuid import uuid4

import pytest

from steward.clients.mlflow_registry import MlflowRegistry, configure_environment
from steward.events import ModelRef
from steward.ports import Column, DatasetInput, Evidence, MetricValue, Signature
from tests.models import client_of, log_real_model, register_version

ONE_NUMBER = Signature(
    (Column("0", "tensor of float64 [-1, 3]"),), (Column("0", "tensor of int64 [-1]"),)
)


@pytest.fixture
def registry(mlflow_server: str) -> MlflowRegistry:
    configure_environment()
    return MlflowRegistry(mlflow_server)


@pytest.fixture
def client(mlflow_server: str) -> Any:
    return client_of(mlflow_server)


@pytest.fixture
def name() -> str:
    return f"e-{uuid4().hex[:8]}"


def logged_model_version(client: Any, name: str, run_id: str | None = None) -> tuple[str, str]:
    """Register a logged model without files; returns the ids of its run and of itself."""
    run_id = run_id or client.create_run("0").info.run_id
    logged = client.create_logged_model("0", name="model", source_run_id=run_id)
    client.log_outputs(run_id, [_output(logged.model_id)])
    client.finalize_logged_model(logged.model_id, "READY")
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name)
    client.create_model_version(
        name, f"models:/{logged.model_id}", run_id, model_id=logged.model_id, await_creation_for=0
    )
    return run_id, logged.model_id


def _output(model_id: str) -> Any:
    from mlflow.entities import LoggedModelOutput

    return LoggedModelOutput(model_id, step=0)


def found(evidence: Evidence, name: str, origin: str) -> list[MetricValue]:
    return [m for m in evidence.metrics if (m.name, m.origin) == (name, origin)]


def test_a_logged_model_tells_dataset_and_time(registry: MlflowRegistry, client: Any, name: str):
    run_id, model_id = logged_model_version(client, name)
    client.log_metric(
        run_id, "auc", 0.9, model_id=model_id, dataset_name="holdout", dataset_digest="d1"
    )

    evidence = registry.evidence(registry.version(ModelRef(name), "1"))

    (metric,) = found(evidence, "auc", "logged_model")
    assert (metric.value, metric.dataset, metric.dataset_digest) == (0.9, "holdout", "d1")
    assert metric.subject_id == evidence.lineage["model_id"] == model_id
    assert metric.logged_at is not None


def test_of_one_run_and_dataset_the_last_value_counts(
    registry: MlflowRegistry, client: Any, name: str
):
    run_id, model_id = logged_model_version(client, name)
    for step, value in enumerate((0.5, 0.6, 0.7)):
        client.log_metric(
            run_id, "auc", value, step=step, model_id=model_id, dataset_name="a", dataset_digest="1"
        )
    client.log_metric(run_id, "auc", 0.8, model_id=model_id, dataset_name="b", dataset_digest="2")

    evidence = registry.evidence(registry.version(ModelRef(name), "1"))

    metrics = found(evidence, "auc", "logged_model")
    assert {(m.dataset, m.value) for m in metrics} == {("a", 0.7), ("b", 0.8)}


def test_nan_and_infinity_have_no_value_though_mlflow_tells_numbers(
    registry: MlflowRegistry, client: Any, name: str
):
    run_id, model_id = logged_model_version(client, name)
    logged = {"nan": math.nan, "inf": math.inf, "minus_inf": -math.inf, "zero": 0.0}
    for key, value in logged.items():
        client.log_metric(run_id, key, value, model_id=model_id)

    evidence = registry.evidence(registry.version(ModelRef(name), "1"))

    told = {(m.name, m.origin): m.value for m in evidence.metrics}
    for origin in ("run", "logged_model"):
        assert [told[key, origin] for key in logged] == [None, None, None, 0.0]


def test_a_nan_stays_one_after_the_run_logged_a_number_elsewhere(
    registry: MlflowRegistry, client: Any, name: str
):
    run_id, model_id = logged_model_version(client, name)
    client.log_metric(run_id, "loss", math.nan, timestamp=1, model_id=model_id)
    client.log_metric(run_id, "loss", 0.0, timestamp=2)

    evidence = registry.evidence(registry.version(ModelRef(name), "1"))

    assert [m.value for m in found(evidence, "loss", "logged_model")] == [None]


def test_a_zero_logged_by_a_run_that_is_gone_proves_nothing(
    registry: MlflowRegistry, client: Any, name: str
):
    _, model_id = logged_model_version(client, name)
    evaluation = client.create_run("0").info.run_id
    client.log_metric(evaluation, "loss", math.nan, model_id=model_id)

    evidence = registry.evidence(registry.version(ModelRef(name), "1"))

    assert [m.value for m in found(evidence, "loss", "logged_model")] == [None]


def test_a_run_that_made_two_models_speaks_for_neither(
    registry: MlflowRegistry, client: Any, name: str
):
    run_id, model_id = logged_model_version(client, name)
    client.log_metric(run_id, "auc", 0.9, model_id=model_id)
    logged_model_version(client, name, run_id)
    client.log_metric(run_id, "only_run", 0.99)

    second = registry.evidence(registry.version(ModelRef(name), "2"))
    first = registry.evidence(registry.version(ModelRef(name), "1"))

    assert second.metrics == ()
    assert [(m.name, m.origin) for m in first.metrics] == [("auc", "logged_model")]
    assert f"run {run_id} (its own metrics do not count: it made 2 models)" in first.looked_at


def test_a_deleted_run_is_missing_evidence_not_an_error(
    registry: MlflowRegistry, client: Any, name: str, mlflow_server: str
):
    register_version(mlflow_server, name, auc=0.9)
    version = registry.version(ModelRef(name), "1")
    client.delete_run(version.run_id)

    evidence = registry.evidence(version)

    assert evidence.metrics == ()
    assert f"run {version.run_id} (deleted)" in evidence.looked_at


def test_a_deleted_logged_model_is_missing_evidence_not_an_error(
    registry: MlflowRegistry, client: Any, name: str
):
    run_id, model_id = logged_model_version(client, name)
    client.log_metric(run_id, "auc", 0.9, model_id=model_id)
    client.delete_logged_model(model_id)

    evidence = registry.evidence(registry.version(ModelRef(name), "1"))

    assert [(m.name, m.origin) for m in evidence.metrics] == [("auc", "run")]
    assert f"logged model {model_id} (deleted)" in evidence.looked_at


def test_lineage_comes_from_the_run(registry: MlflowRegistry, name: str, mlflow_server: str):
    tags = {
        "mlflow.source.git.commit": "abc123",
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.repoURL": "https://example.com/repo",
        "mlflow.source.name": "train.py",
        "mlflow.user": "ada",
        "mlflow.parentRunId": "parent",
    }
    register_version(mlflow_server, name, run_tags=tags)
    version = registry.version(ModelRef(name), "1")

    lineage = registry.evidence(version).lineage

    assert lineage == {
        "git_commit": "abc123",
        "git_branch": "main",
        "git_repo": "https://example.com/repo",
        "source_name": "train.py",
        "user": "ada",
        "parent_run": "parent",
        "run_id": version.run_id,
    }


def test_parameters_datasets_and_the_copied_version_come_without_another_request(
    registry: MlflowRegistry, client: Any, name: str
):
    run_id, _ = logged_model_version(client, name)
    client.log_param(run_id, "C", 0.5)
    client.log_inputs(run_id, [_input("cards", "d1", "training")])
    copied = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    version = registry.version(ModelRef(f"{name}-copy"), copied.version)
    registry.requests.clear()

    evidence = registry.evidence(version)

    assert evidence.params == {"C": "0.5"}
    assert evidence.inputs == (DatasetInput("cards", "d1", "training", "local"),)
    assert evidence.lineage["dataset_digest"] == "d1"
    assert evidence.copied_from == f"{name}/1"
    assert registry.requests == {"get_model_version": 1, "get_run": 1, "get_logged_model": 1}


def _input(dataset: str, digest: str, context: str) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    told = Dataset(dataset, digest, source_type="local", source="{}")
    return DatasetInput(told, tags=[InputTag("mlflow.data.context", context)])


def test_evidence_of_a_logged_model_takes_two_requests(
    registry: MlflowRegistry, client: Any, name: str
):
    run_id, model_id = logged_model_version(client, name)
    client.log_metric(run_id, "auc", 0.9, model_id=model_id)
    version = registry.version(ModelRef(name), "1")
    registry.requests.clear()

    registry.evidence(version)

    assert registry.requests == {"get_run": 1, "get_logged_model": 1}


def test_a_signature_is_read_from_the_models_files(
    registry: MlflowRegistry, client: Any, name: str, mlflow_server: str
):
    register_version(mlflow_server, name, real_model=True)
    copied = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")

    with_files = registry.version(ModelRef(name), "1")
    copy = registry.version(ModelRef(f"{name}-copy"), copied.version)

    assert registry.evidence(with_files).signature is None
    assert registry.evidence(with_files, with_signature=True).signature == ONE_NUMBER
    assert registry.evidence(copy, with_signature=True).signature == ONE_NUMBER


def test_a_model_without_readable_files_has_no_known_signature(
    registry: MlflowRegistry, name: str, mlflow_server: str
):
    register_version(mlflow_server, name)

    evidence = registry.evidence(registry.version(ModelRef(name), "1"), with_signature=True)

    assert evidence.signature is None


def test_a_logged_model_can_be_registered_by_its_stored_path(
    registry: MlflowRegistry, client: Any, name: str, mlflow_server: str
):
    run_id, model_id = log_real_model(mlflow_server, {"auc": 0.9}, {})
    client.create_registered_model(name)
    stored = client.get_logged_model(model_id).artifact_location
    client.create_model_version(name, stored, run_id, model_id=model_id, await_creation_for=0)

    evidence = registry.evidence(registry.version(ModelRef(name), "1"), with_signature=True)

    assert found(evidence, "auc", "logged_model")
    assert evidence.signature == ONE_NUMBER
