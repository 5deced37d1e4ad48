"""What MLflow holds about a version's quality: values of its runs, logged models and tags.

`MlflowRegistry.evidence` calls :func:`gather` with itself as the reader. Nothing here imports
MLflow; the reader hands over plain values.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from steward.clients.mlflow_lineage import (
    RunOrigin,
    environment,
    inputs,
    lineage,
    params,
)
from steward.errors import NotFoundError
from steward.events import ModelRef
from steward.ports import Evidence, MetricValue, Signature, VersionInfo

MAX_COPIES = 10
OWN_METRICS = "steward/"
"""What Steward logs itself after an examination: results of a judgement, not evidence for one."""
INFINITY_FROM = 1.7e308
"""MLflow's SQL store writes infinity as the largest double, about 1.797e308."""

_LOGGED_MODEL = re.compile(r"models:/(?P<plain>m-[^/]+)|.+/models/(?P<stored>m-[^/]+)/artifacts/?")


@dataclass(frozen=True, slots=True)
class LoggedMetric:
    """One metric as MLflow returned it; on a logged model ``run_id`` says which run logged it."""

    name: str
    value: float
    timestamp_ms: int
    step: int = 0
    dataset: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run: its latest metrics, where its model came from, how many logged models it made."""

    run_id: str
    is_deleted: bool
    metrics: tuple[LoggedMetric, ...]
    origin: RunOrigin
    model_count: int


@dataclass(frozen=True, slots=True)
class LoggedModelFacts:
    """One logged model: every metric logged on it, and where its files are."""

    model_id: str
    source_run_id: str | None
    artifact_location: str
    metrics: tuple[LoggedMetric, ...]


class Reader(Protocol):
    """What :func:`gather` asks of MLflow. The first three raise NotFoundError."""

    def version(self, model: ModelRef, version: str) -> VersionInfo: ...

    def run(self, model: ModelRef, run_id: str) -> RunFacts: ...

    def logged_model(self, model: ModelRef, model_id: str) -> LoggedModelFacts: ...

    def was_nan(self, model: ModelRef, run_id: str, name: str, timestamp_ms: int) -> bool:
        """Whether the run's history has a NaN of that name at that time."""
        ...

    def signature(self, model: ModelRef, artifact_uri: str) -> Signature | None:
        """What the model stored there takes and answers; None if its files cannot be read."""
        ...


def logged_model_id(source: str) -> str | None:
    """The logged model that a version's source names, if it names one."""
    match = _LOGGED_MODEL.fullmatch(source)
    return (match["plain"] or match["stored"]) if match else None


@dataclass(slots=True)
class _Found:
    """What one walk over a version's chain has found so far."""

    runs: dict[str, RunFacts] = field(default_factory=dict)
    models: dict[str, LoggedModelFacts] = field(default_factory=dict)
    looked_at: list[str] = field(default_factory=list)


def gather(version: VersionInfo, reader: Reader, *, with_signature: bool = False) -> Evidence:
    """Look at the version, what it was copied from, their logged models and their runs."""
    found = _Found()
    chain = list(_chain(version, reader, found))
    for link in chain:
        _read_logged_model(link, reader, found)
    run_ids = [link.run_id for link in chain]
    run_ids += [model.source_run_id for model in found.models.values()]
    for run_id in dict.fromkeys(run_id for run_id in run_ids if run_id):
        _read_run(version.model, run_id, reader, found)
    found.looked_at.append(f"tags of {version.model.name}/{version.version}")
    origins = [run.origin for run in found.runs.values()]
    return Evidence(
        metrics=(
            *_model_values(version.model, reader, found),
            *_run_values(found),
            *_tags(version),
        ),
        signature=_signature(chain, reader, found) if with_signature else None,
        lineage=lineage(next(iter(found.models), None), origins),
        looked_at=tuple(found.looked_at),
        params=params(origins),
        inputs=inputs(origins),
        environment=environment(origins),
        copied_from="/".join(version.copy_of) if version.copy_of else None,
    )


def _chain(version: VersionInfo, reader: Reader, found: _Found) -> Iterator[VersionInfo]:
    seen = {(version.model.name, version.version)}
    yield version
    while version.copy_of:
        name, number = version.copy_of
        if (name, number) in seen or len(seen) > MAX_COPIES:
            return
        seen.add((name, number))
        try:
            version = reader.version(replace(version.model, name=name), number)
        except NotFoundError:
            found.looked_at.append(f"version {name}/{number} (deleted)")
            return
        found.looked_at.append(f"version {name}/{number}")
        yield version


def _read_logged_model(version: VersionInfo, reader: Reader, found: _Found) -> None:
    model_id = logged_model_id(version.source)
    if model_id is None or model_id in found.models:
        return
    try:
        found.models[model_id] = reader.logged_model(version.model, model_id)
    except NotFoundError:
        found.looked_at.append(f"logged model {model_id} (deleted)")
    else:
        found.looked_at.append(f"logged model {model_id}")


def _read_run(model: ModelRef, run_id: str, reader: Reader, found: _Found) -> None:
    try:
        run = reader.run(model, run_id)
    except NotFoundError:
        found.looked_at.append(f"run {run_id} (deleted)")
        return
    found.runs[run_id] = run
    note = ""
    if run.is_deleted:
        note = " (deleted)"
    elif run.model_count > 1:
        note = f" (its own metrics do not count: it made {run.model_count} models)"
    found.looked_at.append(f"run {run_id}{note}")


def _run_values(found: _Found) -> Iterator[MetricValue]:
    for run in found.runs.values():
        if run.is_deleted or run.model_count > 1:
            continue
        for metric in run.metrics:
            if metric.name.startswith(OWN_METRICS):
                continue
            yield _value(metric, _finite(metric.value), "run", run.run_id)


def _model_values(model: ModelRef, reader: Reader, found: _Found) -> Iterator[MetricValue]:
    for logged in found.models.values():
        for metric in _latest(logged.metrics):
            if metric.name.startswith(OWN_METRICS):
                continue
            value = _finite(metric.value)
            if value == 0.0 and _hides_nan(model, metric, reader, found):
                value = None
            yield _value(metric, value, "logged_model", logged.model_id)


def _latest(metrics: tuple[LoggedMetric, ...]) -> list[LoggedMetric]:
    """Of the values that one run logged under one name on one dataset, the last."""
    latest = {
        (metric.name, metric.run_id, metric.dataset, metric.dataset_digest): metric
        for metric in sorted(metrics, key=lambda metric: (metric.timestamp_ms, metric.step))
    }
    return list(latest.values())


def _hides_nan(model: ModelRef, metric: LoggedMetric, reader: Reader, found: _Found) -> bool:
    """Whether a zero on a logged model was logged as NaN: MLflow returns NaN there as 0.0.

    The run that logged it keeps the truth; where that run is gone, a zero proves nothing.
    """
    run = found.runs.get(metric.run_id or "")
    for told in run.metrics if run else ():
        if (told.name, told.timestamp_ms, told.value) == (metric.name, metric.timestamp_ms, 0.0):
            return False
    if metric.run_id is None:
        return True
    try:
        return reader.was_nan(model, metric.run_id, metric.name, metric.timestamp_ms)
    except NotFoundError:
        return True


def _tags(version: VersionInfo) -> Iterator[MetricValue]:
    subject = f"{version.model.name}/{version.version}"
    for key, text in version.tags.items():
        try:
            value = _finite(float(text))
        except ValueError:
            continue
        if value is not None:
            yield MetricValue(key, value, "tag", subject)


def _value(
    metric: LoggedMetric,
    value: float | None,
    origin: Literal["run", "logged_model"],
    subject_id: str,
) -> MetricValue:
    return MetricValue(
        metric.name,
        value,
        origin,
        subject_id,
        metric.dataset,
        metric.dataset_digest,
        datetime.fromtimestamp(metric.timestamp_ms / 1000, UTC),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) and abs(value) < INFINITY_FROM else None


def _signature(chain: list[VersionInfo], reader: Reader, found: _Found) -> Signature | None:
    """Read where the files are: at the logged model, or else at the first version's source."""
    stored = [model.artifact_location for model in found.models.values()]
    return reader.signature(chain[0].model, stored[0] if stored else chain[-1].source)
