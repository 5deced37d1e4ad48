"""Where versions came from, and how two of them differ, out of what their judgements recorded.

The API's `lineage` and `compare` answer with it. Pure; keys are read leniently.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from handlers.approval_tags import DETAILS
from handlers.measured import measured_metrics
from handlers.wording import number
from steward.events import Event, EventType

OWN_TAGS = "steward."
_CODE = ("git_commit", "git_branch", "git_repo", "source_name", "user")
_RUN = ("run_id", "parent_run", "model_id")
GROUPS = ("params", "metrics", "tags", "data", "code", "environment")
_NOT_RECORDED = (
    "No judgement has recorded where this version came from; only its tags are known. "
    "A version is judged when it is registered under a policy, or when its evidence changes."
)
_NO_CHECKS = "not recorded: the policy runs no checks, so nobody opened the model's files"
_AT_THE_GATES = "not recorded: the judgement ended before a check opened the model's files"
_NOT_OPENED = "not recorded: the examination ended before the model's files told it"


def origin_of(judgement: Event | None, tags: Mapping[str, Any]) -> dict[str, Any]:
    """Everything recorded of one version's origin, by subject. ``tags``: those observed now."""
    data: Mapping[str, Any] = judgement.data if judgement else {}
    lineage: Mapping[str, Any] = data.get("lineage") or {}
    claims = {**(lineage.get("data") or {})}
    told: dict[str, Any] = {
        "recorded_at": judgement.recorded_at if judgement and lineage else None,
        "event_id": judgement.id if judgement and lineage else None,
        "note": None if lineage else _NOT_RECORDED,
        "params": lineage.get("params") or {},
        "metrics": data.get("metrics") or {},
        "measured": measured_metrics(data),
        "found": data.get("found") or [],
        "found_more": data.get("found_more") or 0,
        "tags": dict(tags),
        "data": {"inputs": lineage.get("inputs") or _plain_inputs(lineage), "tags": claims},
        "code": {key: lineage[key] for key in _CODE if lineage.get(key)},
        "environment": lineage.get("environment") or {},
        "environment_note": _why_no_environment(judgement) if lineage else None,
        "run": {key: lineage[key] for key in _RUN if lineage.get(key)},
        "copied_from": lineage.get("copied_from"),
        "cut": lineage.get("cut") or {},
    }
    return told


def _why_no_environment(judgement: Event | None) -> str | None:
    """MLflow 3 keeps versions of libraries in the model's files alone, which checks alone open."""
    if judgement is None or judgement.data["lineage"].get("environment"):
        return None
    if judgement.data.get("checks"):
        return _NOT_OPENED
    return _NO_CHECKS if judgement.type == EventType.VALIDATED else _AT_THE_GATES


def side_by_side(origins: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Each group's keys with one value a version; ``differs`` where they are not all the same.

    A value is None where the version has none. Steward's own tags are left out.
    """
    return {
        group: [
            {"key": key, "values": values, "differs": any(each != values[0] for each in values)}
            for key, values in _rows([_flat(group, origin) for origin in origins])
        ]
        for group in GROUPS
    }


def _rows(columns: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    keys = sorted({key for column in columns for key in column})
    return [(key, [column.get(key) for column in columns]) for key in keys]


def _flat(group: str, origin: Mapping[str, Any]) -> dict[str, Any]:
    """A group as keys with plain values, so that two versions line up."""
    if group == "tags":
        return {
            key: each
            for key, each in origin["tags"].items()
            if not key.startswith(OWN_TAGS) and key not in DETAILS
        }
    if group == "metrics":
        return _metrics(origin)
    if group == "data":
        return _data(origin["data"])
    return dict(origin[group])


def _metrics(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The policy's metrics by its names, with data and our own measure, then others as logged."""
    told: dict[str, Any] = {}
    for name, row in origin["metrics"].items():
        told[name] = row.get("value")
        if row.get("dataset"):
            told[f"{name} measured on"] = row["dataset"]
        if own := origin["measured"].get(name):
            told[f"{name} measured by Steward"] = number(own["value"])
    for row in origin["found"]:
        if row.get("used_as") or row.get("origin") == "tag":
            continue
        name = str(row.get("name"))
        key = f"{name} on {row['dataset']}" if row.get("dataset") else name
        told.setdefault(key, row.get("value"))
    return told


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Datasets by name and context, with their digests, and the data versions that tags claim."""
    inputs: dict[str, str] = {}
    for row in data["inputs"]:
        context = f" ({row['context']})" if row.get("context") else ""
        key = f"{row.get('name')}{context}"
        digest = row.get("digest") or "no digest"
        inputs[key] = f"{inputs[key]}, {digest}" if key in inputs else digest
    return inputs | {f"tag {key}": value for key, value in data["tags"].items()}


def _plain_inputs(lineage: Mapping[str, Any]) -> list[dict[str, str]]:
    """Datasets as events of the first release keep them: ``name@digest, name@digest``."""
    listed = [each for each in str(lineage.get("datasets") or "").split(", ") if each]
    parted = [each.rpartition("@") for each in listed]
    return [
        {"name": name or digest, "digest": digest if name else ""} for name, _, digest in parted
    ]
