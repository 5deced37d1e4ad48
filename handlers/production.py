"""What Production is: read from the registry by the policy's truth, whoever changed it.

Called by ``promote``, ``rollback`` and ``confirm``; a poller or a back-test, which has the
registry's answer already, uses :func:`found_in`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from steward.events import Event, EventType, ModelRef
from steward.policy import LOOKS_LIKE_PRODUCTION, Policy
from steward.ports import ModelInfo, Services, VersionInfo

TWO_IN_PRODUCTION = "two_in_production"
UNCLEAR = "production_unclear"


@dataclass(frozen=True, slots=True)
class Production:
    """Which version is Production; ``problem`` is a code where nobody can tell, ``reason`` why.

    ``truth`` and ``mirror`` are the versions that the policy's truth and its mirror name: one each
    when all is well.
    """

    model: ModelRef
    version: str | None = None
    truth: tuple[str, ...] = ()
    mirror: tuple[str, ...] = ()
    problem: str = ""
    reason: str = ""
    versions: Mapping[str, VersionInfo] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


def read(services: Services, model: ModelRef) -> Production:
    """Ask the registry, in two requests. NotFoundError when the model is gone."""
    info = services.registry.model(model)
    return found_in(info, services.registry.versions(model), services.policy)


def made_since(
    services: Services, model: ModelRef, version: str, since: datetime
) -> Iterator[Event]:
    """The promotions and rollbacks that made a version Production and were recorded since."""
    for change in services.history.changes(model, since=since):
        if change.type != EventType.CHAMPION_CHANGED and change.after == version:
            yield change


def found_in(info: ModelInfo, versions: Iterable[VersionInfo], policy: Policy) -> Production:
    """What a registry's answer says: the truth decides, the mirror only where the truth is empty.

    An alias that is named like Production, but not by the policy, makes it unclear.
    """
    held = {version.version: version for version in versions}
    rule = policy.production
    truth = named_by(rule.stage, None if rule.stage else rule.alias, held, info.aliases)
    mirror = named_by(rule.mirror_stage, rule.mirror_alias, held, info.aliases)
    version, problem, reason = None, "", ""
    named = truth or mirror
    if len(named) > 1:
        problem = TWO_IN_PRODUCTION
        reason = f"versions {' and '.join(named)} are both in Production; only one can be"
    elif named:
        version = named[0]
    elif alias := _lookalike(info.aliases, policy):
        problem = UNCLEAR
        place = f"stage {rule.stage}" if rule.stage else f"alias {rule.alias}"
        reason = (
            f"nothing has {place}, but alias {alias} names version {info.aliases[alias]}; if that "
            f"is Production, put `production: {{alias: {alias}}}` into policy {policy.name}"
        )
    return Production(info.model, version, truth, mirror, problem, reason, held, info.aliases)


def named_by(
    stage: str | None,
    alias: str | None,
    versions: Mapping[str, VersionInfo],
    aliases: Mapping[str, str],
) -> tuple[str, ...]:
    """The versions in a stage, or the one that an alias names."""
    if stage:
        return tuple(number for number, info in versions.items() if info.stage == stage)
    return (aliases[alias],) if alias and aliases.get(alias) in versions else ()


def _lookalike(aliases: Mapping[str, str], policy: Policy) -> str | None:
    own = {policy.production.alias, policy.production.mirror_alias}
    return next(
        (a for a in sorted(aliases) if a.lower() in LOOKS_LIKE_PRODUCTION and a not in own), None
    )
