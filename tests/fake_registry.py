"""A model registry in memory that behaves as MLflow 3.17 does; ``tests/fakes.py`` hands it out."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from steward.errors import NotFoundError, PermanentError, StewardError
from steward.events import ModelRef
from steward.ports import (
    Clock,
    Evidence,
    MetricValue,
    ModelInfo,
    ModelPage,
    Signature,
    VersionInfo,
)

STAGES = {stage.lower(): stage for stage in ("None", "Staging", "Production", "Archived")}
ACTIVE_STAGES = ("Staging", "Production")


@dataclass(slots=True)
class _Model:
    info: ModelInfo
    versions: dict[str, VersionInfo] = field(default_factory=dict)
    latest: int = 0


class FakeRegistry:
    """Every method of the port, and beside them what a data scientist does in MLflow.

    ``requests`` counts calls by method. ``fail`` makes the next calls raise. As in MLflow a stage
    change bumps both timestamps, a tag or alias change neither, and a deleted version takes its
    aliases along and never gives its number back.
    """

    def __init__(self, clock: Clock, *, name: str = "default") -> None:
        self.name = name
        self.requests: Counter[str] = Counter()
        self.evidence_of: dict[str, Evidence] = {}
        """What each run logged, by run id; a version without a run has none."""
        self._clock = clock
        self._models: dict[ModelRef, _Model] = {}
        self._errors: list[StewardError] = []
        self.refused: dict[str, StewardError] = {}
        """Method to the error that each call of it raises."""
        self.after: Callable[[str], None] | None = None
        """Called with the method's name after each write: a test may act in between."""

    def fail(self, error: StewardError, *, times: int = 1) -> None:
        """Raise ``error`` at the next calls, whichever they are."""
        self._errors += [error] * times

    # --- the port ---------------------------------------------------------------------------

    def model(self, model: ModelRef) -> ModelInfo:
        self._ask("model")
        return self._found(model).info

    def version(self, model: ModelRef, version: str) -> VersionInfo:
        self._ask("version")
        return self._found_version(model, version)

    def versions(self, model: ModelRef) -> list[VersionInfo]:
        self._ask("versions")
        held = self._models.get(model)
        return list(held.versions.values()) if held else []

    def models(self, *, page_token: str | None = None, max_results: int = 100) -> ModelPage:
        self._ask("models")
        newest_first = sorted(
            (held.info for held in self._models.values()),
            key=lambda info: (-info.updated_at.timestamp(), info.model.name),
        )
        start = int(page_token or 0)
        end = start + max_results
        token = str(end) if end < len(newest_first) else None
        return ModelPage(tuple(newest_first[start:end]), token)

    def evidence(self, version: VersionInfo, *, with_signature: bool = False) -> Evidence:
        self._ask("evidence")
        held = self.evidence_of.get(version.run_id or "", Evidence())
        return replace(
            held,
            metrics=held.metrics + _numeric_tags(version),
            signature=held.signature if with_signature else None,
        )

    def set_stage(
        self, model: ModelRef, version: str, stage: str, *, archive_existing: bool
    ) -> None:
        self._ask("set_stage")
        if stage.lower() not in STAGES:
            raise PermanentError(f"Invalid Model Version stage: {stage}.")
        stage = STAGES[stage.lower()]
        if archive_existing and stage not in ACTIVE_STAGES:
            raise PermanentError(f"Only the stages {ACTIVE_STAGES} can be emptied: not {stage}.")
        self._found_version(model, version)
        held, now = self._found(model), self._clock.now()
        for number, other in held.versions.items():
            if archive_existing and other.stage == stage and number != version:
                held.versions[number] = replace(other, stage="Archived", updated_at=now)
        held.versions[version] = replace(held.versions[version], stage=stage, updated_at=now)
        held.info = replace(held.info, updated_at=now)
        self._written("set_stage")

    def set_alias(self, model: ModelRef, alias: str, version: str) -> None:
        self._ask("set_alias")
        self._found_version(model, version)
        held = self._found(model)
        held.info = replace(held.info, aliases={**held.info.aliases, alias: version})
        self._written("set_alias")

    def delete_alias(self, model: ModelRef, alias: str) -> None:
        self._ask("delete_alias")
        held = self._found(model)
        kept = {name: version for name, version in held.info.aliases.items() if name != alias}
        held.info = replace(held.info, aliases=kept)
        self._written("delete_alias")

    def set_version_tag(self, model: ModelRef, version: str, key: str, value: str) -> None:
        self._ask("set_version_tag")
        info = self._found_version(model, version)
        self._found(model).versions[version] = replace(info, tags={**info.tags, key: value})
        self._written("set_version_tag")

    # --- what people do in MLflow -------------------------------------------------------------

    def create_model(
        self, name: str, *, tags: Mapping[str, str] | None = None, description: str = ""
    ) -> ModelRef:
        """Create a registered model; it may exist already."""
        ref, now = ModelRef(name, self.name), self._clock.now()
        if ref not in self._models:
            self._models[ref] = _Model(ModelInfo(ref, now, now, description, dict(tags or {})))
        return ref

    def create_version(
        self,
        name: str,
        *,
        metrics: Mapping[str, float | None] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        source: str = "",
        lineage: Mapping[str, str] | None = None,
        signature: Signature | None = None,
        dataset: str | None = None,
        run_id: str | None = None,
    ) -> VersionInfo:
        """Register the next version (and its model), with what its run logged."""
        ref, now = self.create_model(name), self._clock.now()
        held = self._models[ref]
        held.latest += 1
        number = str(held.latest)
        run_id = run_id or f"run-{name}-{number}"
        info = VersionInfo(
            ref, number, now, now, "None", description, dict(tags or {}), source, run_id
        )
        held.versions[number] = info
        held.info = replace(held.info, updated_at=now)
        if run_id not in self.evidence_of:
            self.evidence_of[run_id] = Evidence(
                (), signature, {"run_id": run_id, **(lineage or {})}, (f"run {run_id}",)
            )
        self.log_metrics(info, metrics or {}, dataset=dataset)
        return info

    def copy_version(self, version: VersionInfo, name: str) -> VersionInfo:
        """Register a copy under another model; it has the same run and every tag."""
        source = f"models:/{version.model.name}/{version.version}"
        return self.create_version(name, tags=version.tags, source=source, run_id=version.run_id)

    def log_metrics(
        self, version: VersionInfo, metrics: Mapping[str, float | None], dataset: str | None = None
    ) -> None:
        """Log values on the version's run, also after registration; None is a NaN."""
        run_id, now = version.run_id or "", self._clock.now()
        held = self.evidence_of[run_id]
        added = tuple(
            MetricValue(name, value, "run", run_id, dataset, None, now)
            for name, value in metrics.items()
        )
        kept = tuple(metric for metric in held.metrics if metric.name not in metrics)
        self.evidence_of[run_id] = replace(held, metrics=kept + added)

    def describe(self, model: ModelRef, version: str, description: str) -> None:
        """Change a version's description; its timestamp moves, the model's does not."""
        info = self._found_version(model, version)
        changed = replace(info, description=description, updated_at=self._clock.now())
        self._found(model).versions[version] = changed

    def delete_version_tag(self, model: ModelRef, version: str, key: str) -> None:
        """Remove a version's tag; no error when it has none."""
        info = self._found_version(model, version)
        tags = {name: value for name, value in info.tags.items() if name != key}
        self._found(model).versions[version] = replace(info, tags=tags)

    def delete_version(self, model: ModelRef, version: str) -> None:
        """Delete a version and, silently, its aliases."""
        self._found_version(model, version)
        held = self._found(model)
        del held.versions[version]
        kept = {name: number for name, number in held.info.aliases.items() if number != version}
        held.info = replace(held.info, aliases=kept, updated_at=self._clock.now())

    def delete_model(self, model: ModelRef) -> None:
        """Delete a model; a later one of the same name starts at version 1 again."""
        self._found(model)
        del self._models[model]

    def rename_model(self, model: ModelRef, name: str) -> ModelRef:
        """Rename a model; every version's timestamp moves."""
        held, new, now = self._found(model), replace(model, name=name), self._clock.now()
        del self._models[model]
        held.info = replace(held.info, model=new, updated_at=now)
        held.versions = {
            number: replace(info, model=new, updated_at=now)
            for number, info in held.versions.items()
        }
        self._models[new] = held
        return new

    def touch(self, model: ModelRef, at: datetime) -> None:
        """Set when the model was last updated."""
        held = self._found(model)
        held.info = replace(held.info, updated_at=at)

    # --- inside -------------------------------------------------------------------------------

    def _ask(self, method: str) -> None:
        self.requests[method] += 1
        if self._errors:
            raise self._errors.pop(0)
        if method in self.refused:
            raise self.refused[method]

    def _written(self, method: str) -> None:
        if self.after:
            self.after(method)

    def _found(self, model: ModelRef) -> _Model:
        if model not in self._models:
            raise NotFoundError(f"Registered Model with name={model.name} not found.")
        return self._models[model]

    def _found_version(self, model: ModelRef, version: str) -> VersionInfo:
        held = self._models.get(model)
        if not held or version not in held.versions:
            raise NotFoundError(f"Model Version (name={model.name}, version={version}) not found.")
        return held.versions[version]


def _numeric_tags(version: VersionInfo) -> tuple[MetricValue, ...]:
    subject = f"{version.model.name}/{version.version}"
    return tuple(
        MetricValue(key, number, "tag", subject)
        for key, value in version.tags.items()
        if (number := _finite(value)) is not None
    )


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
