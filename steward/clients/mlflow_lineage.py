"""Where a version came from, out of what its runs hold: code, data, parameters, environment.

``mlflow_evidence.gather`` calls it with the runs that it has read already; nothing more is asked.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steward.ports import DatasetInput

_TAGS = {
    "mlflow.source.git.commit": "git_commit",
    "mlflow.source.git.branch": "git_branch",
    "mlflow.source.git.repoURL": "git_repo",
    "mlflow.source.name": "source_name",
    "mlflow.user": "user",
    "mlflow.parentRunId": "parent_run",
}
_MODEL_HISTORY = "mlflow.log-model.history"
"""What older clients wrote on the run for each model it logged: a JSON list of its flavors."""
_ENVIRONMENT_TAGS = {
    "mlflow.docker.image.uri": "docker_image",
    "mlflow.docker.image.id": "docker_image_id",
    "mlflow.project.env": "project_env",
    "mlflow.databricks.cluster.info": "cluster",
}
_VERSION = re.compile(r"(?P<library>\w+)_version")


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """What one run says of where its model came from."""

    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[DatasetInput, ...] = ()


def lineage(model_id: str | None, runs: Sequence[RunOrigin]) -> dict[str, str]:
    """The flat facts that gates ask for; of several runs the last one speaks, the first fills in.

    ``dataset_digest`` is there only when every dataset input has one.
    """
    told = {"model_id": model_id} if model_id else {}
    for run in runs:
        tags = {ours: run.tags[tag] for tag, ours in _TAGS.items() if run.tags.get(tag)}
        told = {"run_id": run.run_id, **tags, **_datasets(run.inputs), **told}
    return told


def params(runs: Sequence[RunOrigin]) -> dict[str, str]:
    """The parameters of all runs; the version's own run comes first and wins."""
    return {key: value for run in reversed(runs) for key, value in run.params.items()}


def inputs(runs: Sequence[RunOrigin]) -> tuple[DatasetInput, ...]:
    """The datasets that the runs say they used, each once."""
    return tuple(dict.fromkeys(used for run in runs for used in run.inputs))


def environment(runs: Sequence[RunOrigin]) -> dict[str, str]:
    """Python, libraries and image by name, as far as the runs recorded them."""
    found: dict[str, str] = {}
    for run in runs:
        found = {**_of_tags(run.tags), **found}
    return found


def _datasets(used: tuple[DatasetInput, ...]) -> dict[str, str]:
    if not used:
        return {}
    told = {"datasets": ", ".join(f"{each.name}@{each.digest}" for each in used)}
    if all(each.digest for each in used):
        told["dataset_digest"] = ", ".join(each.digest for each in used)
    return told


def _of_tags(tags: Mapping[str, str]) -> dict[str, str]:
    plain = {ours: tags[tag] for tag, ours in _ENVIRONMENT_TAGS.items() if tags.get(tag)}
    return {**plain, **_of_history(tags.get(_MODEL_HISTORY, ""))}


def _of_history(text: str) -> dict[str, str]:
    """Versions out of the flavors of the only model that the run logged; of several, none."""
    try:
        logged = json.loads(text or "[]")
        (model,) = logged
        flavors: Mapping[str, Mapping[str, Any]] = model["flavors"]
        entries = [(key, value) for flavor in flavors.values() for key, value in flavor.items()]
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {
        match["library"]: value
        for key, value in entries
        if isinstance(value, str) and (match := _VERSION.fullmatch(key))
    }
