"""What to do about a verdict, or about a wait: sentences, each command of which does what it says.

Called by ``verdicts``, and by the API for a version that waits. Pure.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from handlers.gates import Gate, tell_expected
from steward.events import Event, EventType
from steward.policy import Policy

_ANSWER = "steward approve {model} {version}, or: steward reject {model} {version} --reason REASON"
_AGAIN = "steward events replay {event} --mode all"
"""The judgement ended well: by itself a replay repeats only what died."""
_IS_GONE = f"When the cause is gone: {_AGAIN}"
_AFTER_A_CHANGE = "A changed policy judges nothing again by itself; after a change:"
_CHANGED = f"{_AFTER_A_CHANGE} {_AGAIN}"
_WHICH = "Say in the policy which value counts: `dataset`, or `if_several: latest`."
_BETTER = "Register a better model, as a new version."
_MENDED = "Files of a registered version never change: register a mended model, as a new version."
_OR_ITS_FILES = "Where its own files are the cause: register a mended model, as a new version."
_OVERRIDE = (
    "Only an override promotes it: steward promote {model} {version} --override --reason WHY"
)
_BY_HAND = "To promote it all the same: steward promote {model} {version}"
_IN_A_FREEZE = "To promote it in the freeze all the same: steward promote {model} {version}"
_ALLOW_BREAK = (
    "Where every caller follows along, the policy can allow it: checks: {schema: {breaking: allow}}"
)
_UNPAUSE = "It goes on when the pause ends: steward resume {model} (of everything: steward resume)"
_BACK = "To go back: steward rollback {model}"
_BY_CODE: Mapping[str, tuple[str, ...]] = {
    "ambiguous": (_WHICH, _CHANGED),
    "below_margin": (_BETTER, _BY_HAND, _CHANGED),
    "worse_metric": (_BETTER, _BY_HAND, _CHANGED),
    "inconclusive": (_BY_HAND, _CHANGED),
    "production_unclear": (f"Put that line into the policy, then: {_AGAIN}",),
    "two_in_production": (f"Leave one version in Production, then: {_AGAIN}",),
    "champion_metric_missing": (f"Log it for Production, then: {_AGAIN}",),
    "champion_metric_ambiguous": (_IS_GONE,),
    "champion_metric_invalid": (_IS_GONE,),
    "check_failed": (_MENDED, _CHANGED),
    "check_incomplete": (_IS_GONE, _OR_ITS_FILES),
    "not_servable": (_IS_GONE,),
    "not_comparable": (_IS_GONE, _BY_HAND),
    "not_ready": (_IS_GONE,),
    "first_version": ("To make it the first Production: steward promote {model} {version}",),
    "approval_expired": ("To ask again: steward request-approval {model} {version}",),
    "rejected_by_person": (_OVERRIDE,),
    "no_rule": (_BY_HAND,),
    "rolled_back_from": (_BY_HAND,),
    "older_than_production": (_BY_HAND,),
    "recommend": ("Give it {place} in MLflow, or set `mode: act` in the policy.",),
    "beats_production": (_BACK,),
    "begun": (_BACK,),
}
_BY_GATES = frozenset(
    {"incomplete", "gate_failed", "below_minimum", "above_maximum", "metric_invalid"}
)


def to_answer(event: Event, policy: Policy) -> list[str]:
    """How the question of ``event``'s version is answered."""
    return [_ANSWER.format(**_names(event, policy, event))]


def after(
    code: str,
    event: Event,
    policy: Policy,
    *,
    gates: Iterable[Gate] = (),
    cause: Event | None = None,
) -> list[str]:
    """What to do about a verdict of this code on the version that ``event`` is about.

    ``gates``: those that it was judged by. ``cause``: what ``event`` came from; a validation is one
    half of a judgement, which is repeated from where it began.
    """
    is_half = event.type == EventType.VALIDATED and cause is not None
    names = _names(event, policy, cause if is_half and cause else event)
    if code in _BY_GATES:
        stopped = [gate for gate in gates if gate.status != "pass"]
        return list(_after_gates(stopped, policy, _AGAIN.format(**names)))
    steps = [step.format(**names) for step in _BY_CODE.get(code, ())]
    if any((gate.name, gate.status) == ("check schema", "fail") for gate in gates):
        steps.insert(1, _ALLOW_BREAK)
    return steps


def while_waiting(note: str, model: str, version: str, policy: Policy) -> list[str]:
    """What would end a wait, by what its dispatch notes, and what passes over it.

    Such as ``waiting for tag validated, test_auc until 12:00 UTC``, ``frozen until ...`` or
    ``paused by ...``.
    """
    names = {"model": shlex.quote(model), "version": version}
    if note.startswith("frozen until "):
        return [_IN_A_FREEZE.format(**names)]
    if note.startswith("paused by "):
        return [_UNPAUSE.format(**names)]
    wanted = note.removeprefix("waiting for ").rpartition(" until ")[0].split(", ")
    tags = [each.removeprefix("tag ") for each in wanted if each.startswith("tag ")]
    return [f"{_set_tag(policy, key)} It is judged as soon as that is seen." for key in tags]


def _names(event: Event, policy: Policy, replayed: Event) -> dict[str, str | None]:
    rule = policy.production
    return {
        "event": replayed.id,
        "model": shlex.quote(event.model.name) if event.model else "",
        "version": event.version,
        "place": f"stage {rule.stage}" if rule.stage else f"alias {rule.alias}",
    }


def _after_gates(stopped: Sequence[Gate], policy: Policy, again: str) -> Iterator[str]:
    """First what judges it again by itself, then what needs a command."""
    by_tag = {gate: _tags_of(gate, policy) for gate in stopped}
    for key in dict.fromkeys(key for keys in by_tag.values() for key in keys):
        yield f"{_set_tag(policy, key)} The version is then judged again."
    others = [gate for gate, keys in by_tag.items() if not keys]
    missing = [gate.waits_for or gate.detail for gate in others if gate.status == "missing"]
    if missing:
        yield f"Add {' and '.join(missing)}, then: {again}"
    failed = [gate for gate in others if gate.status == "fail"]
    if failed:
        is_of_files = any(gate.name.endswith("signature") for gate in failed)
        yield _MENDED if is_of_files else _BETTER
    if any(gate.status == "unclear" for gate in others):
        yield _WHICH
    yield f"{_AFTER_A_CHANGE} {again}"


def _tags_of(gate: Gate, policy: Policy) -> tuple[str, ...]:
    """The tags of the version that would let it pass."""
    kind, _, name = gate.name.removeprefix(f"{gate.stage}: ").partition(" ")
    if kind == "tag" or (kind, name) == ("lineage", "data_version"):
        return (name,)
    metric = policy.metrics.get(name) if kind == "metric" else None
    return metric.names[:1] if metric and metric.from_ == "tags" else ()


def _set_tag(policy: Policy, key: str) -> str:
    told = f"Set the tag {key} of the version in MLflow"
    for gates in policy.all_gates:
        if key in gates.tags:
            return f"{told} to {tell_expected(gates.tags[key])}."
        if key in gates.tag_patterns:
            return f"{told} so that it matches {gates.tag_patterns[key]}."
    return f"{told}."
