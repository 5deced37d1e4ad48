"""The gates of the policy: what the registry holds of one version against what is asked of it.

Called by ``validate`` for ``require`` and Staging, by ``stages`` for Production. Pure. What can
still come is missing; what is there and wrong has failed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from handlers.examined import computed_as, is_by_holdout
from handlers.metrics import Ambiguous, Found, Invalid, Lookup, Missing, find, tell
from handlers.record import DATA_TAGS, data_version
from steward.policy import Policy, tag_matches
from steward.policy.require import Bounds, Require, TagValue
from steward.ports import Evidence, Signature, VersionInfo

Status = Literal["pass", "fail", "missing", "unclear"]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's result; ``code`` says how it failed, ``waits_for`` what would decide it.

    ``stage``: the one that it guards, where the policy's ``stages`` ask for it.
    """

    name: str
    status: Status
    detail: str
    code: str = ""
    waits_for: str = ""
    stage: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What an event keeps of it."""
        return {key: value for key, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where gates keep a version from going on: what becomes of it, and because of which."""

    kind: Literal["reject", "hold", "wait"]
    code: str
    because: list[Gate]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences of its gates."""
        return tuple(gate.detail for gate in self.because)

    @property
    def waits_for(self) -> str:
        """What is missing, in a few words."""
        return ", ".join(gate.waits_for for gate in self.because)


def read_tags(policy: Policy) -> frozenset[str]:
    """The version's tags that a gate or a metric reads; never those that Steward itself writes."""
    read = set(policy.read_tags)
    if any("data_version" in gates.lineage for gates in policy.all_gates):
        read.update(DATA_TAGS)
    for metric in policy.metrics.values():
        read.update(metric.names if metric.from_ == "tags" else ())
    return frozenset(key for key in read if not key.startswith("steward."))


def measure(policy: Policy, evidence: Evidence, version: VersionInfo) -> dict[str, Lookup]:
    """Every metric that the policy declares, by its own name."""
    return {name: find(metric, evidence, version) for name, metric in policy.metrics.items()}


def judge(
    policy: Policy, version: VersionInfo, evidence: Evidence, metrics: Mapping[str, Lookup]
) -> tuple[Gate, ...]:
    """Every gate before the examination, and for each metric it compares by that there is one."""
    gates = [
        _metric_gate(name, metrics[name], policy.require.metrics.get(name))
        for name in _used(policy)
    ]
    gates += _beside_metrics(policy.require, version, evidence)
    if staging := policy.stages.staging:
        gates += _to_enter("Staging", staging, version, evidence, metrics)
    return tuple(gates)


def judge_all(
    policy: Policy, version: VersionInfo, evidence: Evidence, metrics: Mapping[str, Lookup]
) -> tuple[Gate, ...]:
    """Every gate between a version and Production."""
    gates = list(judge(policy, version, evidence, metrics))
    if rules := policy.stages.production:
        gates += _to_enter("Production", rules, version, evidence, metrics)
    return tuple(gates)


def stopped(gates: Iterable[Gate], *, on_missing: str, is_late: bool) -> Stopped | None:
    """What failed rejects at once; what is unclear holds; what is missing is waited for."""
    found: dict[Status, list[Gate]] = {}
    for gate in gates:
        found.setdefault(gate.status, []).append(gate)
    if failed := found.get("fail"):
        return Stopped("reject", failed[0].code, failed)
    if unclear := found.get("unclear"):
        return Stopped("hold", unclear[0].code, unclear)
    if missing := found.get("missing"):
        kind: Literal["hold", "reject"] = "hold" if on_missing == "hold" else "reject"
        return Stopped(kind if is_late else "wait", "incomplete", missing)
    return None


def _to_enter(
    stage: str,
    rules: Require,
    version: VersionInfo,
    evidence: Evidence,
    metrics: Mapping[str, Lookup],
) -> Iterator[Gate]:
    """The gates of one stage; they say which."""
    found = [_metric_gate(name, metrics[name], bounds) for name, bounds in rules.metrics.items()]
    for gate in (*found, *_beside_metrics(rules, version, evidence)):
        told = f"{gate.detail} (to enter {stage})"
        yield replace(gate, name=f"{stage}: {gate.name}", detail=told, stage=stage)


def _beside_metrics(require: Require, version: VersionInfo, evidence: Evidence) -> Iterator[Gate]:
    yield from (_required_tag(key, version.tags) for key in require.required_tags)
    yield from (_tag(key, value, version.tags) for key, value in require.tags.items())
    yield from (_pattern(key, regex, version.tags) for key, regex in require.tag_patterns.items())
    if require.description:
        yield _there("description", version.description.strip(), "a description")
    if require.signature:
        yield _signature(evidence.signature)
    origin = {**evidence.lineage, "data_version": data_version(version.tags)}
    yield from (_there(f"lineage {key}", origin.get(key), key) for key in require.lineage)


def _used(policy: Policy) -> Iterator[str]:
    """The logged metrics that a verdict on this version will need, each once."""
    when = policy.promote.when
    compared = (when.metric,) if when and not is_by_holdout(policy) else ()
    kept = [name for name in policy.promote.not_worse if computed_as(policy, name) is None]
    yield from dict.fromkeys((*policy.require.metrics, *compared, *kept))


def _metric_gate(name: str, lookup: Lookup, bounds: Bounds | None) -> Gate:
    gate = f"metric {name}"
    match lookup:
        case Missing(detail):
            wanted = detail.partition(";")[0].removeprefix("no ")
            return Gate(gate, "missing", detail, waits_for=wanted)
        case Ambiguous(detail):
            return Gate(gate, "unclear", detail, "ambiguous")
        case Invalid(detail):
            return Gate(gate, "fail", detail, "metric_invalid")
        case Found():
            return _within(gate, lookup, bounds or Bounds())


def _within(gate: str, found: Found, bounds: Bounds) -> Gate:
    measured = f"{found.name} {tell(found.value)}"
    if bounds.min is not None and found.value < bounds.min:
        detail = f"{measured} is below the minimum of {tell(bounds.min)}"
        return Gate(gate, "fail", detail, "below_minimum")
    if bounds.max is not None and found.value > bounds.max:
        detail = f"{measured} is above the maximum of {tell(bounds.max)}"
        return Gate(gate, "fail", detail, "above_maximum")
    limits = [f"at least {tell(bounds.min)}"] if bounds.min is not None else []
    limits += [f"at most {tell(bounds.max)}"] if bounds.max is not None else []
    return Gate(gate, "pass", f"{measured} is {' and '.join(limits) or 'known'}")


def _required_tag(key: str, tags: Mapping[str, str]) -> Gate:
    return _there(f"tag {key}", tags.get(key, "").strip(), f"tag {key}")


def _tag(key: str, expected: TagValue, tags: Mapping[str, str]) -> Gate:
    actual, wanted = tags.get(key), tell_expected(expected)
    if actual is None:
        detail = f"no tag {key}; {wanted} is required"
        return Gate(f"tag {key}", "missing", detail, waits_for=f"tag {key}")
    if tag_matches(expected, actual):
        return Gate(f"tag {key}", "pass", f"tag {key} is {actual}")
    detail = f"tag {key} is {actual}; {wanted} is required"
    return Gate(f"tag {key}", "fail", detail, "gate_failed")


def tell_expected(expected: TagValue) -> str:
    """The value that a policy asks for, as a tag writes it: ``true``, ``yes or no``."""
    values = expected if isinstance(expected, tuple) else (expected,)
    return " or ".join(
        str(value).lower() if isinstance(value, bool) else str(value) for value in values
    )


def _pattern(key: str, regex: str, tags: Mapping[str, str]) -> Gate:
    actual = tags.get(key)
    if actual is None:
        detail = f"no tag {key}; it must match {regex}"
        return Gate(f"tag {key}", "missing", detail, waits_for=f"tag {key}")
    if re.search(regex, actual):  # anchored as the policy's author anchored it
        return Gate(f"tag {key}", "pass", f"tag {key} is {actual}")
    detail = f"tag {key} is {actual}, which does not match {regex}"
    return Gate(f"tag {key}", "fail", detail, "gate_failed")


def _signature(signature: Signature | None) -> Gate:
    if signature is None:
        detail = "the model's files could not be read, so its signature is unknown"
        return Gate("signature", "missing", detail, waits_for="the model's files")
    if signature.is_there:
        return Gate("signature", "pass", "the model has a signature")
    return Gate("signature", "fail", "the model has no signature", "gate_failed")


def _there(gate: str, value: str | None, what: str) -> Gate:
    if value:
        return Gate(gate, "pass", f"{what} is there")
    detail = f"no {what.removeprefix('a ')}"
    return Gate(gate, "missing", detail, waits_for=what)
