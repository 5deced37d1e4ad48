"""Make a version Production: replicas prepare, intents are committed, then the registry is written.

Shared by ``promote``, ``rollback`` and ``confirm``. Every step is safe to repeat: a write that
stands is not made again, and what is read back decides whether it is done.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from handlers.production import Production, read
from steward.errors import TransientError
from steward.events import ModelRef
from steward.policy import PREVIOUS_ALIAS
from steward.ports import Intent, Look, Reading, ReplicaAnswer, Services

UNREACHABLE_TRIES = 3
"""A replica that died is gone from the fleet after 15 seconds without a heartbeat; until then it
only looks unreachable, and another try in 6 seconds costs less than a held promotion."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the replicas answered; ``refusal`` says why too few can serve the version."""

    answers: tuple[ReplicaAnswer, ...] = ()
    refusal: str = ""

    def as_list(self) -> list[dict[str, Any]]:
        """The answers as events keep them."""
        return [tell_answer(answer) for answer in self.answers]


def prepare(services: Services, model: ModelRef, version: str) -> Preparation:
    """Let every live replica load the version beside what it serves.

    TransientError while replicas cannot be reached that may be gone a moment later.
    """
    replicas = services.fleet.replicas(model)
    if not replicas:
        _refuse_while_silent(services, model)
        return Preparation()
    rule, desired = services.policy.reload, services.history.desired(model)
    generation = (desired.generation if desired else 0) + 1
    answers = services.fleet.prepare(
        replicas, version, generation, timeout_seconds=rule.timeout_seconds
    )
    failed = [answer for answer in answers if not answer.ok]
    if len(replicas) - len(failed) >= rule.min_prepared * len(replicas):
        return Preparation(tuple(answers))
    told = "; ".join(_tell_failure(answer) for answer in failed)
    refusal = (
        f"{len(failed)} of {len(replicas)} replicas could not prepare version {version} "
        f"({rule.min_prepared:.0%} of them must): {told}"
    )
    is_refused = any(answer.refused for answer in failed)
    if not is_refused and services.work.failures < UNREACHABLE_TRIES:
        raise TransientError(refusal, retry_after_seconds=6)
    return Preparation(tuple(answers), refusal)


def _refuse_while_silent(services: Services, model: ModelRef) -> None:
    """Heartbeats come through the receiver: while it is away, a healthy fleet looks like none."""
    lost = services.fleet.lost(model)
    if lost and services.work.failures < UNREACHABLE_TRIES:
        raise TransientError(
            f"no replica of {model} has beaten for 15 s, but lately there were {', '.join(lost)}",
            retry_after_seconds=6,
        )


def tell_answer(answer: ReplicaAnswer) -> dict[str, Any]:
    """One replica's answer as events keep it."""
    told = asdict(answer)
    replica = told.pop("replica")
    return {"id": replica["id"], "url": replica["url"], **told}


def _tell_failure(answer: ReplicaAnswer) -> str:
    how = "refused" if answer.refused else "could not be reached"
    return f"{answer.replica.id} at {answer.replica.url} {how}: {answer.error or 'no reason given'}"


def change(
    services: Services, found: Production, version: str, *, previous: str | None
) -> tuple[Reading, ...]:
    """Write stage and aliases, and read them back.

    ``found`` is Production as it was just read, ``previous`` the version that was it before.
    Returns the readings to record. TransientError when somebody else changed Production too.
    """
    model = found.model
    intents = _intents(services, found, version, previous)
    services.ledger.intend(intents)
    steps: list[Callable[[], None]] = [
        lambda: _write_stage(services, found, version),
        lambda: _write_alias(services, found, version),
    ]
    for step in steps if services.policy.production.stage else reversed(steps):
        step()  # the truth first: a crash in between leaves a mirror that lags, never one that lies
    if previous and found.aliases.get(PREVIOUS_ALIAS) != previous:
        services.registry.set_alias(model, PREVIOUS_ALIAS, previous)
    look = services.history.look(model)
    back = read(services, model)
    if back.truth != (version,) or (has_mirror(services) and back.mirror != (version,)):
        now = " and ".join(back.truth) or "none"
        raise TransientError(
            f"version {version} was written as Production of {model}, but read back was {now}: "
            "somebody else changes it too"
        )
    return tuple(_readings(look, version, intents, back))


def _stage(services: Services) -> str | None:
    rule = services.policy.production
    return rule.stage or rule.mirror_stage


def _alias(services: Services) -> str | None:
    rule = services.policy.production
    return rule.mirror_alias if rule.stage else rule.alias


def has_mirror(services: Services) -> bool:
    """Whether the policy keeps a second place in step with its truth."""
    rule = services.policy.production
    return bool(rule.mirror_alias if rule.stage else rule.mirror_stage)


def _intents(
    services: Services, found: Production, version: str, previous: str | None
) -> list[Intent]:
    """Every facet that will change, also those that MLflow changes along: archived versions."""
    model, intents = found.model, []
    if stage := _stage(services):
        left = "Archived" if services.policy.production.archive_previous else "None"
        intents.append(Intent(model, version, "stage", stage))
        # MLflow archives what was there, in the same transaction; from there it goes to `left`.
        ways = dict.fromkeys(("Archived", left))
        others = _others(found, stage, version)
        intents += [Intent(model, other, "stage", way) for other in others for way in ways]
    if alias := _alias(services):
        intents.append(Intent(model, "", f"alias:{alias}", version))
    if previous:
        intents.append(Intent(model, "", f"alias:{PREVIOUS_ALIAS}", previous))
    return intents


def _others(found: Production, stage: str, version: str) -> list[str]:
    return [n for n, info in found.versions.items() if info.stage == stage and n != version]


def _write_stage(services: Services, found: Production, version: str) -> None:
    model, stage = found.model, _stage(services)
    if stage is None:
        return
    others = _others(found, stage, version)
    if others or found.versions[version].stage != stage:
        # One transaction of MLflow: never two in Production, never none.
        services.registry.set_stage(model, version, stage, archive_existing=True)
    if not services.policy.production.archive_previous:
        for other in others:
            services.registry.set_stage(model, other, "None", archive_existing=False)


def _write_alias(services: Services, found: Production, version: str) -> None:
    alias = _alias(services)
    if alias and found.aliases.get(alias) != version:
        services.registry.set_alias(found.model, alias, version)


def _readings(
    look: Look, version: str, intents: list[Intent], back: Production
) -> Iterator[Reading]:
    yield look.reading("", "champion", version)
    for intent in intents:
        if intent.facet == "stage":
            info = back.versions.get(intent.subject)
            if info:
                yield look.reading(intent.subject, "stage", info.stage)
        else:
            alias = intent.facet.removeprefix("alias:")
            yield look.reading("", intent.facet, back.aliases.get(alias))
