"""MLflow's entities as our values; `MlflowRegistry` turns every answer into them."""

import json
from datetime import UTC, datetime
from typing import Any

from steward.clients.mlflow_evidence import LoggedMetric, LoggedModelFacts, RunFacts
from steward.clients.mlflow_lineage import RunOrigin
from steward.events import ModelRef
from steward.ports import Column, DatasetInput, ModelInfo, Signature, VersionInfo

_CONTEXT = "mlflow.data.context"


def model_info(found: Any, registry: str, workspace: str) -> ModelInfo:
    """A ``RegisteredModel``."""
    return ModelInfo(
        ModelRef(found.name, registry, workspace),
        _time(found.creation_timestamp),
        _time(found.last_updated_timestamp),
        found.description or "",
        dict(found.tags or {}),
        {alias: str(version) for alias, version in (found.aliases or {}).items()},
    )


def version_info(found: Any, model: ModelRef) -> VersionInfo:
    """A ``ModelVersion``; searches and single reads fill the same fields."""
    return VersionInfo(
        model,
        str(found.version),
        _time(found.creation_timestamp),
        _time(found.last_updated_timestamp),
        found.current_stage or "None",
        found.description or "",
        dict(found.tags or {}),
        found.source or "",
        found.run_id or None,
        found.status,
    )


def signature(found: Any) -> Signature:
    """A ``ModelSignature``, or None where the model was logged without one."""
    if found is None:
        return Signature(is_there=False)
    return Signature(_columns(found.inputs), _columns(found.outputs))


def _columns(schema: Any) -> tuple[Column, ...]:
    """A ``Schema``; a column without a name is called by its position."""
    told = schema.to_dict() if schema is not None else []
    return tuple(
        Column(str(spec.get("name", index)), _type(spec), bool(spec.get("required", True)))
        for index, spec in enumerate(told)
    )


def _type(spec: dict[str, Any]) -> str:
    """``double``; of a tensor also its numbers and shape, of what is composed all that it says."""
    if spec["type"] == "tensor":
        tensor = spec["tensor-spec"]
        return f"tensor of {tensor['dtype']} {list(tensor['shape'])}"
    composed = {key: spec[key] for key in ("items", "properties", "values") if key in spec}
    return f"{spec['type']} {json.dumps(composed, sort_keys=True)}" if composed else spec["type"]


def run_facts(run: Any) -> RunFacts:
    """A ``Run``. Only its protobuf form gives each metric's time in public."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    outputs = run.outputs.model_outputs if run.outputs else []
    return RunFacts(
        run.info.run_id,
        run.info.lifecycle_stage == "deleted",
        tuple(_logged_metric(metric) for metric in run.data.to_proto().metrics),
        RunOrigin(
            run.info.run_id,
            run.data.tags,
            run.data.params,
            tuple(dataset_input(used) for used in inputs),
        ),
        len({output.model_id for output in outputs}),
    )


def dataset_input(used: Any) -> DatasetInput:
    """One ``DatasetInput`` of a run, as MLflow recorded it; where it lies is not looked at."""
    dataset = used.dataset
    context = next((tag.value for tag in used.tags or () if tag.key == _CONTEXT), "")
    return DatasetInput(
        dataset.name or "", dataset.digest or "", context or "", dataset.source_type or ""
    )


def logged_model_facts(logged: Any) -> LoggedModelFacts:
    """A ``LoggedModel``, with every value ever logged on it."""
    return LoggedModelFacts(
        logged.model_id,
        logged.source_run_id or None,
        logged.artifact_location,
        tuple(_logged_metric(metric) for metric in logged.metrics or ()),
    )


def quoted(name: str) -> str:
    """A value of MLflow's filter language, which has two kinds of quotes and no escape."""
    return f"'{name}'" if "'" not in name else f'"{name}"'


def _logged_metric(metric: Any) -> LoggedMetric:
    return LoggedMetric(
        metric.key,
        metric.value,
        metric.timestamp,
        metric.step,
        metric.dataset_name or None,
        metric.dataset_digest or None,
        metric.run_id or None,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
