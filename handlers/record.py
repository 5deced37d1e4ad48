"""What an event keeps of a version's evidence: where it came from and every metric that was found.

Called by ``validate``; read back by the API's lineage, comparison and search, which ask nobody
else. Pure. Each part is capped, and ``cut`` says what was left out, so that no event grows without
end.
"""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from handlers.metrics import Found, Lookup, exact, is_number, tell
from steward.ports import Evidence, MetricValue

MAX_PARAMS, MAX_INPUTS, MAX_LIBRARIES, MAX_METRICS = 100, 20, 50, 100
LONGEST_VALUE = 250
"""Characters of one parameter, name or digest; MLflow takes up to 6,000 of a parameter."""

DATA_TAGS = ("data_version", "dvc.rev", "dvc.md5", "dvc_rev", "dvc_md5", "dvc.version")
"""Version tags that say which data a version was made of, ours and those that DVC's users set."""


def data_version(tags: Mapping[str, str]) -> str:
    """The data version that a version's tags claim, empty where none does."""
    return next((tags[key].strip() for key in DATA_TAGS if tags.get(key, "").strip()), "")


def lineage_record(
    evidence: Evidence, tags: Mapping[str, str], made_with: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Where the version came from: flat facts, and params, inputs, environment, copied_from, data.

    ``made_with``: Python and libraries that the model's files name, where an examination read them;
    what a run says goes before. ``cut`` maps each part that was too large to the number of entries
    left out.
    """
    environment = {**(made_with or {}), **evidence.environment}
    claims = {key: _short(tags[key]) for key in DATA_TAGS if tags.get(key, "").strip()}
    parts: dict[str, Any] = {
        "params": _first(evidence.params, MAX_PARAMS),
        "inputs": [
            {key: _short(value) for key, value in asdict(used).items() if value}
            for used in evidence.inputs[:MAX_INPUTS]
        ],
        "environment": _first(environment, MAX_LIBRARIES),
        "data": claims,
        "copied_from": evidence.copied_from,
    }
    sizes = {
        "params": len(evidence.params) - MAX_PARAMS,
        "inputs": len(evidence.inputs) - MAX_INPUTS,
        "environment": len(environment) - MAX_LIBRARIES,
    }
    parts["cut"] = {part: more for part, more in sizes.items() if more > 0}
    flat = {key: _short(value) for key, value in evidence.lineage.items()}
    return flat | {key: value for key, value in parts.items() if value}


def found_record(evidence: Evidence, metrics: Mapping[str, Lookup]) -> list[dict[str, Any]]:
    """Every value that was found, by name; ``used_as`` names the policy's metric it decided."""
    used = {
        (value.name, value.origin, value.subject_id, value.dataset): name
        for name, value in metrics.items()
        if isinstance(value, Found)
    }
    ordered = sorted(_each_once(evidence), key=lambda one: (_key(one) not in used, one.name))
    return [
        {
            "name": _short(one.name),
            "value": _told(one),
            "origin": one.origin,
            "dataset": one.dataset,
            "digest": one.dataset_digest,
            "used_as": used.get(_key(one)),
        }
        for one in ordered[:MAX_METRICS]
    ]


def found_more(evidence: Evidence) -> int:
    """How many of the values found are not in :func:`found_record`."""
    return max(len(_each_once(evidence)) - MAX_METRICS, 0)


def _each_once(evidence: Evidence) -> list[MetricValue]:
    """Without a run's copies, which lack the dataset, of what was logged on its model."""
    on_data = {(one.name, one.value) for one in evidence.metrics if one.dataset}
    return [
        one
        for one in evidence.metrics
        if one.dataset or one.origin != "run" or (one.name, one.value) not in on_data
    ]


def _key(one: MetricValue) -> tuple[str, str, str, str | None]:
    return (one.name, one.origin, one.subject_id, one.dataset)


def _told(one: MetricValue) -> str | None:
    is_told = one.value is not None and is_number(one.value)
    return tell(exact(one.value)) if is_told and one.value is not None else None


def _first(entries: Mapping[str, str], limit: int) -> dict[str, str]:
    return {_short(key): _short(entries[key]) for key in islice(sorted(entries), limit)}


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
