"""What Steward measured on the holdout itself, out of an event's data; and how sure it is.

Read by messages, the API and the CLI. Pure, imports no numbers; keys are read leniently.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from handlers.wording import Fact, number
from steward.policy.examination import computed_by

_QUALITY = "quality."
_METHODS = {"delong": "paired DeLong", "bootstrap": "paired bootstrap"}


def measured(data: Mapping[str, Any], metric: str, logged_as: str = "") -> dict[str, Any] | None:
    """What was measured for a metric of the policy: ``metric, value, dataset, n``; None if nothing.

    A check of the quality has it for every version that answered for the holdout, also where there
    was no Production to compare with.
    """
    if kept := _dict(_dict(data.get("measured")).get(metric)):
        return dict(kept)
    function = computed_by(metric, (logged_as,))
    if function is None:
        return None
    rows = _dict(data.get("holdout")) or _dict(_dict(data.get("comparison")).get("holdout"))
    where = {"metric": function, "dataset": rows.get("name"), "n": rows.get("n")}
    for check in data.get("checks") or ():
        if check.get("name") == _QUALITY + function and check.get("value") is not None:
            return {**where, "value": check["value"]}
    compared = _dict(data.get("comparison"))
    value = _dict(compared.get("scores")).get("candidate")
    if compared.get("metric") == function and value is not None:
        return {**where, "value": value}
    return None


def measured_metrics(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The same of each metric that a judgement found logged, by the policy's names."""
    found = {
        name: measured(data, name, str(_dict(row).get("name") or ""))
        for name, row in _dict(data.get("metrics")).items()
    }
    return {name: row for name, row in found.items() if row}


def sides(version: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Both sides of the comparison on the holdout, as decisions name them; None without one."""
    compared = _dict(data.get("comparison"))
    scores, rows = _dict(compared.get("scores")), _dict(compared.get("holdout"))
    if scores.get("candidate") is None or scores.get("champion") is None:
        return None
    where = {"name": compared.get("metric"), "dataset": rows.get("name"), "origin": "holdout"}
    where["digest"] = rows.get("sha256")
    return {
        "metric": compared.get("metric"),
        "candidate": {"version": version, "value": scores["candidate"], **where},
        "champion": {"version": compared.get("champion"), "value": scores["champion"], **where},
        "gain": compared.get("delta"),
        "margin": None,
    }


def interval(comparison: Any) -> str:
    """Such as ``0.1 to 0.19 at 95% (paired DeLong, standard error 0.02, 285 rows: ...)``."""
    row = _dict(comparison)
    if any(row.get(key) is None for key in ("delta", "se", "interval_low", "interval_high")):
        return ""
    classes = ""
    if row.get("n_pos") is not None:
        classes = f": {row['n_pos']} positive, {row['n_neg']} negative"
    method = _METHODS.get(str(row.get("method")), str(row.get("method")))
    return (
        f"{number(100 * row['confidence'])}% interval {number(row['interval_low'])} to "
        f"{number(row['interval_high'])} ({method}, standard error {number(row['se'])}, "
        f"{row['n']} rows{classes})"
    )


def difference(comparison: Any) -> str:
    """The difference on the holdout with its interval; empty where none was measured."""
    row = _dict(comparison)
    if not (told := interval(row)):
        return ""
    word = "worse" if row["delta"] < 0 else "better"
    return f"{word} by {number(abs(row['delta']))}, {told}"


def facts(data: Mapping[str, Any]) -> tuple[Fact, ...]:
    """What a decision's reader needs beside logged numbers: own ones, how sure, the report."""
    return tuple(_facts(data))


def _facts(data: Mapping[str, Any]) -> Iterator[Fact]:
    candidate, metric = _dict(data.get("candidate")), str(data.get("metric") or "")
    compared = _dict(data.get("comparison"))
    if candidate.get("origin") != "holdout":
        # A rule that compares nothing names no metric: then any that was measured.
        others = iter(_dict(data.get("measured")).values())
        if own := measured(data, metric, str(candidate.get("name") or "")) or next(others, None):
            yield "Measured by Steward", _told(own, _dict(compared.get("scores")), compared)
    if told := difference(compared):
        yield "On the holdout", told
    if isinstance(report := data.get("report"), str):
        yield "Report", report


def _told(own: Mapping[str, Any], scores: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    on = f", on {own['dataset']}" if own.get("dataset") else ""
    rows = f" ({own['n']} rows)" if own.get("n") else ""
    against = ""
    if scores.get("champion") is not None and compared.get("metric") == own["metric"]:
        against = f" against version {compared.get('champion')}'s {number(scores['champion'])}"
    return f"{own['metric']} {number(own['value'])}{against}{on}{rows}"


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
