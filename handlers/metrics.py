"""Which of a version's logged values is the policy's metric: one value, or why there is none.

Called by ``gates`` and by ``promote``, for candidate and Production alike. Pure.
"""

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from steward.policy.model import Metric
from steward.ports import Evidence, MetricValue, VersionInfo

PLACES = 9
"""Values that agree to nine decimal places are the same value."""

SHOWN = 5
_NEVER = datetime.min.replace(tzinfo=UTC)
_ORIGINS = {
    "any": ("run", "logged_model"),  # a tag is believed only where the policy says `from: tags`
    "source_run": ("run",),
    "tags": ("tag",),
}
_SUBJECTS = {"run": "the run has", "logged_model": "the logged model has", "tag": "its tags have"}


@dataclass(frozen=True, slots=True)
class Found:
    """One value, exact to nine places; ``name`` is the one it was logged under."""

    value: Decimal
    name: str
    origin: str
    subject_id: str
    dataset: str | None = None
    dataset_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing was logged under any of the names; ``detail`` says what was found instead."""

    detail: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several different values, and the policy does not say which of them counts."""

    detail: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """The value is not a number or infinite."""

    detail: str


Lookup = Found | Missing | Ambiguous | Invalid


def find(metric: Metric, evidence: Evidence, version: VersionInfo) -> Lookup:
    """The metric of one version: the first of its names that was logged, by the policy's rules."""
    usable = [
        value
        for value in evidence.metrics
        if value.origin in _ORIGINS[metric.from_]
        and not value.name.startswith("training_")
        and metric.dataset in (None, value.dataset)
    ]
    for name in metric.names:
        values = [value for value in usable if value.name == name]
        if values:
            return _settle(values, metric)
    return Missing(_what_instead(metric, evidence, version))


def exact(value: float) -> Decimal:
    """A logged float as the decimal number that people read, to nine places."""
    return Decimal(str(round(value, PLACES) + 0.0))  # + 0.0: no negative zero


def tell(value: Decimal) -> str:
    """A number as people write it: 0.905, never 9.05E-1."""
    return format(value.normalize() + 0, "f")


def _settle(values: list[MetricValue], metric: Metric) -> Lookup:
    name = values[0].name
    if metric.if_several == "latest":
        newest = max(value.logged_at or _NEVER for value in values)
        values = [value for value in values if (value.logged_at or _NEVER) == newest]
    # MLflow's logged models show NaN as 0.0; only the run's value tells, so that one decides.
    if any(not is_number(value.value) for value in values):
        return Invalid(f"{name} is not a number")
    distinct = {exact(value.value): value for value in values if value.value is not None}
    if len(distinct) > 1:
        told = ", ".join(f"{tell(number)}{_where(value)}" for number, value in distinct.items())
        return Ambiguous(f"{name} has {len(distinct)} different values: {told}")
    (number,) = distinct
    # A value that says on which data it was measured tells more than its copy that does not.
    value = max(values, key=lambda one: (one.dataset is not None, one.dataset_digest is not None))
    return Found(number, name, value.origin, value.subject_id, value.dataset, value.dataset_digest)


def is_number(value: float | None) -> bool:
    """Whether it is finite; MLflow stores infinity as the largest float there is."""
    return value is not None and math.isfinite(value) and abs(value) < sys.float_info.max


def _where(value: MetricValue) -> str:
    place = value.origin.replace("_", " ")
    return f" ({place}, dataset {value.dataset})" if value.dataset else f" ({place})"


def _what_instead(metric: Metric, evidence: Evidence, version: VersionInfo) -> str:
    wanted = f"no {' or '.join(metric.names)}"
    if metric.dataset:
        wanted += f" on dataset {metric.dataset}"
    others = [value for value in evidence.metrics if not value.name.startswith("training_")]
    if not others:
        where = " and ".join(evidence.looked_at) or f"version {version.version}"
        return f"{wanted}; no other metric was found on {where}"
    ranked = sorted(others, key=lambda value: (-_likeness(value.name, metric.names), value.name))
    told = "; ".join(_by_subject(ranked[:SHOWN]))
    more = len(ranked) - SHOWN
    return f"{wanted}; {told}" + (f" and {more} more" if more > 0 else "")


def _likeness(name: str, wanted: Iterable[str]) -> int:
    """How many words a name shares with those wanted: auc_test is like test_auc."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return max(len(words & set(re.split(r"[^a-z0-9]+", one.lower()))) for one in wanted)


def _by_subject(values: list[MetricValue]) -> Iterable[str]:
    for origin, subject in _SUBJECTS.items():
        told = [_name_and_value(value) for value in values if value.origin == origin]
        if told:
            yield f"{subject} {', '.join(dict.fromkeys(told))}"


def _name_and_value(value: MetricValue) -> str:
    number = "not a number"
    if value.value is not None and is_number(value.value):
        number = tell(exact(value.value))
    dataset = f" (dataset {value.dataset})" if value.dataset else ""
    return f"{value.name}={number}{dataset}"
