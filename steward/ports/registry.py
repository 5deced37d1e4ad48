"""The model registry: what it tells of models and versions, and what may be written to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from steward.events import ModelRef

_COPY = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>\d+)")


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One model version as the registry tells it now."""

    model: ModelRef
    version: str
    created_at: datetime
    updated_at: datetime
    stage: str = "None"
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    run_id: str | None = None
    status: str = "READY"

    @property
    def copy_of(self) -> tuple[str, str] | None:
        """Model and number of the version that it was copied from, tags and all; None if none."""
        return copy_of(self.source)


def copy_of(source: str) -> tuple[str, str] | None:
    """Model and number of the version that a version's source names; None where it is no copy."""
    match = _COPY.fullmatch(source)
    return (match["name"], match["version"]) if match else None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One registered model as the registry tells it now; ``aliases`` maps alias to version."""

    model: ModelRef
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One logged value. ``value`` is None when it was logged as NaN or infinite.

    ``origin``: where it was found; ``run_id`` or ``model_id``: on what; ``dataset``: the name of
    the dataset it was logged with, if any; ``logged_at``: when.
    """

    name: str
    value: float | None
    origin: Literal["run", "logged_model", "tag"]
    subject_id: str
    dataset: str | None = None
    dataset_digest: str | None = None
    logged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset that a run says it used; ``context``: training, eval ..., where it was said.

    ``uri`` is where it can be loaded from again; None where it cannot, or nobody looked.
    """

    name: str
    digest: str
    context: str = ""
    source_type: str = ""
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model's signature; ``type`` in MLflow's words: double, long, string ..."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and what it answers; ``is_there`` False: the model has none."""

    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    is_there: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the registry holds about one version's quality, along its chain of copies.

    ``metrics``: every value found on its runs, logged models and tags (never filtered by name);
    ``signature``: None when nobody asked for it, or the model's files could not be read;
    ``lineage``: git_commit, git_branch, git_repo, source_name, user, parent_run, run_id, model_id,
    datasets, dataset_digest; ``params``, ``inputs`` and ``environment`` (library to version) as its
    runs recorded them; ``copied_from``: the version it is a copy of, as model/number.
    """

    metrics: tuple[MetricValue, ...] = ()
    signature: Signature | None = None
    lineage: Mapping[str, str] = field(default_factory=dict)
    looked_at: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[DatasetInput, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    copied_from: str | None = None


@dataclass(frozen=True, slots=True)
class ModelPage:
    """One page of registered models, and the token of the next (None at the end)."""

    models: tuple[ModelInfo, ...]
    next_token: str | None = None


class Registry(Protocol):
    """A model registry. Every method may raise TransientError (away, slow) or PermanentError."""

    name: str

    def model(self, model: ModelRef) -> ModelInfo:
        """The model with its aliases. NotFoundError if the registry answers 404."""
        ...

    def version(self, model: ModelRef, version: str) -> VersionInfo:
        """One version. NotFoundError if the registry answers 404."""
        ...

    def versions(self, model: ModelRef) -> list[VersionInfo]:
        """Every version of the model, oldest first; empty when there is none."""
        ...

    def models(self, *, page_token: str | None = None, max_results: int = 100) -> ModelPage:
        """One page of models with aliases, last updated first. Prompts are not models."""
        ...

    def evidence(self, version: VersionInfo, *, with_signature: bool = False) -> Evidence:
        """Metrics and lineage of a version; ``with_signature`` also reads its MLmodel file."""
        ...

    def set_stage(
        self, model: ModelRef, version: str, stage: str, *, archive_existing: bool
    ) -> None:
        """Move a version to a stage; others in that stage to Archived if asked."""
        ...

    def set_alias(self, model: ModelRef, alias: str, version: str) -> None:
        """Point an alias at a version (creates or moves it)."""
        ...

    def delete_alias(self, model: ModelRef, alias: str) -> None:
        """Remove an alias; nothing happens when it does not exist."""
        ...

    def set_version_tag(self, model: ModelRef, version: str, key: str, value: str) -> None:
        """Set one tag of a version."""
        ...

    def delete_version_tag(self, model: ModelRef, version: str, key: str) -> None:
        """Remove one tag of a version. NotFoundError when there is none."""
        ...
