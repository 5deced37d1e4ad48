"""Policies in sentences for people: what ``steward policy check`` and ``steward up`` print."""

from collections.abc import Iterator

from steward.policy.approval import describe as describe_approval
from steward.policy.channels import ALL
from steward.policy.examination import Checks
from steward.policy.model import Match, Mode, Policy
from steward.policy.policy_set import PolicySet
from steward.policy.require import Require, TagValue
from steward.policy.sandbox import Sandbox
from steward.policy.section import Section

_MAY = {
    Mode.OBSERVE: "looks only; says what it would have done",
    Mode.RECOMMEND: "tags and tells; people promote",
    Mode.ACT: "also promotes, reloads and rolls back",
}


def describe(policy: Policy, mode: Mode) -> list[tuple[str, str]]:
    """One policy as label and text pairs; ``mode`` is the one in force, under any ceiling."""
    ceiling = f" ({policy.mode} in the file)" if mode != policy.mode else ""
    lines = [
        ("governs", _match(policy.match)),
        ("mode", f"{mode}{ceiling}: {_MAY[mode]}"),
        ("Production", _production(policy)),
    ]
    lines += [("metric", text) for text in _metrics(policy)]
    lines += [
        ("requires", "; ".join(_gates(policy.require)) or "nothing"),
        *_stages(policy),
        *([("sandbox", _sandbox(policy.sandbox))] if policy.sandbox != Sandbox() else []),
        ("waits", f"{policy.wait_seconds:g} s for what is missing, then: {policy.on_missing}"),
        *(("examines", text) for text in _checks(policy.checks)),
        ("promotes", "; ".join(_promotes(policy))),
        *[("approval", text) for text in _approval(policy)],
        *([("tags", " and ".join(tags))] if (tags := list(_tags(policy))) else []),
        ("reloads", _reload(policy)),
    ]
    lines += [
        ("freezes", f"promotions for {each.hours:g} h from {each.cron} ({each.timezone})")
        for each in policy.freeze
    ]
    lines += [("tells", f"{_whom(n.to)}: {', '.join(n.events)}") for n in policy.notify]
    return lines


def never_governs(policies: PolicySet) -> list[str]:
    """Names of policies that stand after one that already matches every model."""
    for index, policy in enumerate(policies.policies):
        match = policy.match
        everywhere = match.registry == match.workspace == "*"
        if "*" in match.models and everywhere and not (match.except_ or match.tags):
            return [later.name for later in policies.policies[index + 1 :]]
    return []


def _match(match: Match) -> str:
    text = f"models {', '.join(match.models)}"
    if match.except_:
        text += f" except {', '.join(match.except_)}"
    for label in ("registry", "workspace"):
        pattern = getattr(match, label)
        text += f"; {label} {pattern or '(none)'}" if pattern != "*" else ""
    return text + "".join(f"; tag {key}={_tag(value)}" for key, value in match.tags.items())


def _production(policy: Policy) -> str:
    production = policy.production
    truth = f"stage {production.stage}" if production.stage else f"alias {production.alias}"
    if production.mirror_alias:
        truth += f"; alias {production.mirror_alias} follows"
    if production.mirror_stage:
        truth += f"; stage {production.mirror_stage} follows"
    if production.challenger_alias:
        truth += f"; alias {production.challenger_alias} on the newest under judgement"
    is_archived = production.archive_previous and production.any_stage
    return truth + ("; the version before is archived" if is_archived else "")


def _metrics(policy: Policy) -> Iterator[str]:
    for name, metric in policy.metrics.items():
        dataset = f", on {metric.dataset}" if metric.dataset else ""
        origin = "" if metric.from_ == "any" else f", from {metric.from_}"
        logged = ", ".join(metric.names)
        several = f"several values: {metric.if_several}"
        yield f"{name} (logged as {logged}{dataset}{origin}): {metric.better} is better; {several}"


def _gates(require: Require) -> Iterator[str]:
    for name, bounds in require.metrics.items():
        if bounds.min is not None:
            yield f"{name} at least {bounds.min}"
        if bounds.max is not None:
            yield f"{name} at most {bounds.max}"
    yield from (f"tag {key}" for key in require.required_tags)
    yield from (f"tag {key}={_tag(value)}" for key, value in require.tags.items())
    yield from (f"tag {key} like {pattern}" for key, pattern in require.tag_patterns.items())
    yield from (what for what in ("description", "signature") if getattr(require, what))
    yield from (f"lineage {key}" for key in require.lineage)


def _stages(policy: Policy) -> Iterator[tuple[str, str]]:
    if policy.stages.staging is not None:
        yield "Staging", f"before Production; requires {_also(policy.stages.staging)}"
    if policy.stages.production is not None:
        yield "from there", f"Production requires {_also(policy.stages.production)}"


def _also(require: Require) -> str:
    return "; ".join(_gates(require)) or "nothing more"


def _checks(checks: Checks | None) -> Iterator[str]:
    if checks is None or checks.holdout is None:
        return
    holdout = checks.holdout
    rows = holdout.uri or "the dataset that its run names"
    yield f"{holdout.metric} on {rows} (label {holdout.label})"
    for metric, limits in checks.quality.items():
        yield f"quality: {metric} {_bounds(limits)}"
    for name in ("sanity", "schema_", "latency", "drift", "fairness", "robustness"):
        section = getattr(checks, name)
        if section is not None and section.model_fields_set:
            yield f"{name.rstrip('_')}: {_bounds(section)}"
    yield from (f"your own: {name}" for name in checks.own)


def _bounds(section: Section) -> str:
    """What a section sets, by its keys, as a person would write it."""
    told = (
        (key, ", ".join(value) if isinstance(value, tuple) else value)
        for key, value in section
        if key in section.model_fields_set
    )
    return ", ".join(f"{key} {'null' if value is None else value}" for key, value in told)


def _promotes(policy: Policy) -> Iterator[str]:
    promote = policy.promote
    when = promote.when
    if when is None:
        yield "nothing over a version that is in Production"
    elif when.margin is not None:
        yield f"when {when.metric} beats Production by {when.margin} or more"
    else:
        yield f"when {when.metric} beats Production by {when.margin_relative} of its value or more"
    has_holdout = policy.checks is not None and policy.checks.holdout is not None
    if when is not None and when.compare != "logged" and has_holdout:
        yield f"both scored on the holdout, {when.confidence:.0%} sure"
    yield from (f"{name} may lose {loss}" for name, loss in promote.not_worse.items())
    yield f"the first version: {promote.first_version}"


def _tags(policy: Policy) -> Iterator[str]:
    if policy.tags.checks:
        yield "each check's result"
    if policy.tags.semantic_version:
        yield "a semantic version on what is promoted"


def _approval(policy: Policy) -> Iterator[str]:
    promote = policy.promote
    is_used = promote.first_version == "approval" or "approval" in promote.model_fields_set
    return describe_approval(promote.approval, policy.groups, is_used=is_used)


def _reload(policy: Policy) -> str:
    reload = policy.reload
    share = f"{reload.min_prepared:.0%} of them able to load it first"
    return f"{reload.strategy} replicas, {share}, {reload.timeout_seconds:g} s; on failure: " + (
        "roll back" if reload.on_failure == "rollback" else "tell"
    )


def _sandbox(sandbox: Sandbox) -> str:
    trusted = f"; also trusts {', '.join(sandbox.trusted)}" if sandbox.trusted else ""
    return (
        f"level {sandbox.min_level} or more, {sandbox.cpu_s} s of CPU, {sandbox.mem_mib} MiB, "
        f"{sandbox.wall_s:g} s an answer; loads {', '.join(sandbox.formats)}{trusted}"
    )


def _whom(to: tuple[str, ...]) -> str:
    return "every channel" if ALL in to else ", ".join(to)


def _tag(value: TagValue) -> str:
    if isinstance(value, tuple):
        return " or ".join(_tag(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else value
