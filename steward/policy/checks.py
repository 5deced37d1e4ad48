"""What is wrong with a policy file that only shows when its parts are read together.

:func:`problems` judges a file whose parts are each well formed; ``PolicySet.parse`` adds the lines.
"""

import re
from collections.abc import Iterator

from steward.events import EventType
from steward.policy.approval import problems_of
from steward.policy.channels import ALL, FROM_SETTINGS
from steward.policy.document import Path
from steward.policy.examination import BETTER, computed_by, wrong_in
from steward.policy.explain import nearest
from steward.policy.file import Channel, PolicyFile
from steward.policy.model import LOOKS_LIKE_PRODUCTION, PREVIOUS_ALIAS, Metric, Policy, Production
from steward.policy.require import Require

NO_POLICY = "none"
"""Name of the policy of models that no policy matches."""
TOLD = frozenset(
    {
        EventType.REJECTED,
        EventType.HELD,
        EventType.APPROVAL_REQUESTED,
        EventType.APPROVAL_REJECTED,
        EventType.APPROVAL_EXPIRED,
        EventType.ROLLOUT_FINISHED,
        EventType.ROLLOUT_FAILED,
        EventType.POLICY_VIOLATED,
        EventType.DISPATCH_DIED,
    }
)
"""Events that people are told of when they happen: those that route to ``notify``."""
TOLD_AFTER_ROLLOUT = frozenset(
    {EventType.PROMOTED, EventType.ROLLED_BACK, EventType.CHAMPION_CHANGED}
)
"""Events that people are told of when their rollout has ended, with what the replicas serve."""
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")

Problems = Iterator[tuple[Path, str]]


def problems(file: PolicyFile) -> Problems:
    """Everything wrong, as the path of the part and a sentence."""
    for name, channel in file.channels.items():
        yield from _of_channel(name, channel, ("channels", name))
    names = [policy.name for policy in file.policies]
    for index, policy in enumerate(file.policies):
        path: Path = ("policies", index)
        if policy.name in names[:index]:
            yield (*path, "name"), f"two policies are named '{policy.name}'"
        if policy.name == NO_POLICY:
            yield (*path, "name"), f"'{NO_POLICY}' names what governs models without a policy"
        yield from _of_policy(policy, path)
        yield from _of_notify(policy, file, path)
        yield from problems_of(policy.promote.approval, file.groups, (*path, "promote", "approval"))


def _of_channel(name: str, channel: Channel, path: Path) -> Problems:
    kinds = [kind for kind in Channel.model_fields if getattr(channel, kind) is not None]
    if name == ALL:
        yield path, f"a channel cannot be named '{ALL}'"
    if len(kinds) != 1:
        yield path, f"channel '{name}' needs exactly one of: {', '.join(Channel.model_fields)}"
    for kind in kinds:
        if kind != "email" and not _REFERENCE.search(getattr(channel, kind)):
            text = 'is a secret: write it as ${NAME}, as in "${TEAM_SLACK_URL}"'
            yield (*path, kind), f"channels.{name}.{kind} {text}; secrets only as ${{ENV}}"
    for index, address in enumerate(channel.email or ()):
        if "@" not in address and not _REFERENCE.search(address):
            yield (*path, "email", index), f"'{address}' is not an email address"


def _of_policy(policy: Policy, path: Path) -> Problems:
    if "match" not in policy.model_fields_set:
        yield path, f"policy '{policy.name}' needs match, such as match: {{models: [\"*\"]}}"
    if "promote" in policy.model_fields_set and "production" not in policy.model_fields_set:
        yield path, f"policy '{policy.name}' promotes: it needs production (stage or alias)"
    yield from _of_production(policy.production, (*path, "production"))
    for name, metric in policy.metrics.items():
        if metric.from_ == "tags" and metric.dataset:
            text = f"metrics.{name}: a tag does not know its dataset; drop dataset or from: tags"
            yield (*path, "metrics", name, "dataset"), text
    yield from _of_gates(policy, policy.require, path, "require")
    yield from _of_stages(policy, path)
    yield from _of_promote(policy, (*path, "promote"))
    yield from _of_checks(policy, (*path, "checks"))


def _of_gates(policy: Policy, gates: Require, path: Path, *section: str) -> Problems:
    within = ".".join((*section, "metrics"))
    here: Path = (*path, *section, "metrics")
    for name, bounds in gates.metrics.items():
        yield from _declared(name, policy.metrics, (*here, name))
        if bounds.min is None and bounds.max is None:
            yield (*here, name), f"{within}.{name} needs min or max"
        elif bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
            yield (*here, name), f"{within}.{name}: min is above max"


def _of_stages(policy: Policy, path: Path) -> Problems:
    stages, production = policy.stages, policy.production
    for name, gates in (("Staging", stages.staging), ("Production", stages.production)):
        if gates is not None:
            yield from _of_gates(policy, gates, path, "stages", name)
    if stages.staging is not None and production.any_stage == "Staging":
        text = "stages.Staging is a step before Production, but production names Staging itself"
        yield (*path, "stages", "Staging"), text
    if "stages" in policy.model_fields_set and not stages.model_fields_set:
        text = "stages is empty; name a stage, such as Staging: {required_tags: [data_version]}"
        yield (*path, "stages"), text


def _of_checks(policy: Policy, path: Path) -> Problems:
    """What is examined must be computable, and better the way that the policy says it is."""
    when, checks = policy.promote.when, policy.checks
    has_holdout = checks is not None and checks.holdout is not None
    if when is not None and when.compare == "holdout" and not has_holdout:
        here = (*path[:-1], "promote", "when", "compare")
        yield here, "compare: holdout needs checks.holdout (uri, label, metric)"
    if checks is None:
        return
    for inner, text in wrong_in(checks):
        yield (*path, *inner), text
    if checks.holdout is None:
        return
    yield from _computed(policy, checks.holdout.metric, (*path, "holdout", "metric"))
    if when is not None and when.compare != "logged" and when.metric != checks.holdout.metric:
        here, way_out = (*path[:-1], "promote", "when", "metric"), "; or set compare: logged"
        yield from _computed(policy, when.metric, here, way_out)


def _computed(policy: Policy, name: str, here: Path, way_out: str = "") -> Problems:
    declared = policy.metrics.get(name)
    function = computed_by(name, declared.names if declared else ())
    if function is None:
        yield here, f"'{name}' cannot be computed; known are: {', '.join(BETTER)}{way_out}"
    elif declared is not None and declared.better != BETTER[function]:
        yield here, f"metrics.{name} says {declared.better} is better; of {function} it is not"


def _of_promote(policy: Policy, path: Path) -> Problems:
    for name in policy.promote.not_worse:
        yield from _declared(name, policy.metrics, (*path, "not_worse", name))
    when = policy.promote.when
    if when is None:
        return
    yield from _declared(when.metric, policy.metrics, (*path, "when", "metric"))
    if (when.margin is None) == (when.margin_relative is None):
        have = "neither" if when.margin is None else "both"
        text = f"promote.when has {have} of margin and margin_relative; it needs one"
        yield (*path, "when"), text


def _of_production(production: Production, path: Path) -> Problems:
    truths = [truth for truth in ("stage", "alias") if getattr(production, truth)]
    if len(truths) != 1:
        have = "both stage and alias" if truths else "neither stage nor alias"
        text = "name one as the truth; the other may follow it as mirror_stage or mirror_alias"
        yield path, f"production has {have}: {text}"
        return
    wrong_mirror = f"mirror_{truths[0]}"
    if getattr(production, wrong_mirror):
        yield (*path, wrong_mirror), f"{wrong_mirror} cannot follow a truth of its own kind"
    asks_to_archive = "archive_previous" in production.model_fields_set
    if asks_to_archive and production.archive_previous and not production.any_stage:
        text = "archive_previous moves a stage; name one as stage or mirror_stage"
        yield (*path, "archive_previous"), text
    for key in ("alias", "mirror_alias", "challenger_alias"):
        if getattr(production, key) == PREVIOUS_ALIAS:
            text = f"the alias {PREVIOUS_ALIAS} is kept by Steward on the version before"
            yield (*path, key), text
    challenger = production.challenger_alias
    if challenger and challenger == production.any_alias:
        text = f"{challenger} is Production's alias; a challenger needs another"
        yield (*path, "challenger_alias"), text
    elif challenger and challenger.lower() in LOOKS_LIKE_PRODUCTION:
        text = f"the alias {challenger} is read as Production; a challenger needs another"
        yield (*path, "challenger_alias"), text


def _of_notify(policy: Policy, file: PolicyFile, path: Path) -> Problems:
    told = sorted(str(event) for event in TOLD | TOLD_AFTER_ROLLOUT)
    for index, entry in enumerate(policy.notify):
        here: Path = (*path, "notify", index)
        for i, event in enumerate(entry.events):
            if event not in told:
                kind = "people are not told of" if event in set(EventType) else "unknown event type"
                yield (*here, "events", i), f"{kind} '{event}'{nearest(event, told)}"
        for i, channel in enumerate(entry.to):
            if channel != ALL and channel not in file.channels and not _is_from_settings(channel):
                known = [*file.channels, ALL, "slack", "email", "apprise"]
                at = (*here, "to", i)
                yield at, f"unknown channel '{channel}'{nearest(channel, known)}"


def _is_from_settings(channel: str) -> bool:
    return FROM_SETTINGS.fullmatch(channel) is not None


def _declared(name: str, metrics: dict[str, Metric], path: Path) -> Problems:
    if name not in metrics:
        yield path, f"metric '{name}' is not declared in metrics{nearest(name, list(metrics))}"
