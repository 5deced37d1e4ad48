"""Promote a version that passed its gates, if it beats Production: load, decide, act, say so.

Runs in the model's lane ``production``, for ``model_version.validated``.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from handlers import changeover, halfway, production, stages
from handlers.approvals import read as read_said
from handlers.freeze import frozen
from handlers.gates import read_tags
from handlers.production import Production
from handlers.rulings import Decision
from handlers.semantic_version import numbered
from handlers.verdicts import verdict_event
from handlers.waiting import until_resumed
from handlers.weighing import weigh
from steward.errors import NotFoundError, TransientError
from steward.events import Event, EventType, ModelRef
from steward.policy import Mode
from steward.ports import Done, Outcome, Services, Skipped, Wait

OLDER = "older_than_production"


def promote(event: Event, services: Services) -> Outcome:
    """Compare the version with Production as it is now, and make it Production if it is better."""
    model, version = event.model, event.version
    if model is None or version is None:
        return Skipped("the event names no version")
    paused = _paused(model, services)
    if paused and not services.ledger.begun():
        return paused
    try:
        # Production may change while the replicas prepare: judged anew once, here and now.
        outcome = _judge(event, model, version, services, paused) or _judge(
            event, model, version, services, paused
        )
    except NotFoundError as error:
        return _gone(model, version, services, error)
    if outcome is None:
        raise TransientError(f"Production of {model} changed twice while replicas prepared")
    return outcome


def _paused(model: ModelRef, services: Services) -> Wait | None:
    paused = services.history.paused(model)
    return until_resumed(paused, services, then=("annotate",)) if paused else None


def _gone(model: ModelRef, version: str, services: Services, error: NotFoundError) -> Outcome:
    """Skipped when it is this version; else TransientError, for Production may be half changed."""
    try:
        services.registry.version(model, version)
    except NotFoundError:
        return Skipped(f"the version was deleted: {error}")
    raise TransientError(f"something was deleted while it was promoted: {error}") from error


def _rejected_since(event: Event, model: ModelRef, version: str, services: Services) -> str | None:
    """A validation that was overtaken by a later one promotes nothing."""
    standing = services.history.verdict(model, version)
    if standing is None or standing.verdict != "rejected" or standing.at is None:
        return None
    return "rejected since" if standing.at > event.recorded_at else None


def _judge(
    event: Event, model: ModelRef, version: str, services: Services, paused: Wait | None
) -> Outcome | None:
    """Decide and act; None when Production changed in between."""
    found = production.read(services, model)
    if version not in found.versions:
        return Skipped("the version was deleted")
    if found.truth == (version,) and (begun := halfway.begun(services, found)):
        return _finish(event, services, found, begun)
    if paused:
        return paused
    if rejected := _rejected_since(event, model, version, services):
        return Skipped(rejected)
    decision = weigh(event, services, found, version)
    stopped = stages.hold_back(event, services, found, decision)
    stages.enter_staging(services, found, decision, stopped)
    return stopped or _follow(event, services, decision, found)


def _follow(
    event: Event, services: Services, decision: Decision, found: Production
) -> Outcome | None:
    """Do what was decided; None when Production changed in between."""
    if decision.kind == "ask":
        return _ask(event, services, decision)
    if decision.kind != "promote":
        return _leave(event, services, decision, found)
    if services.mode != Mode.ACT:
        return _would_promote(event, services, decision)
    return frozen(event, services, decision) or _act(event, services, decision, found)


def _leave(event: Event, services: Services, decision: Decision, found: Production) -> Outcome:
    """Say why it is not promoted; a past Production keeps the verdict that it had."""
    version = decision.candidate.version
    if decision.kind == "nothing":
        return Skipped(decision.reasons[0])
    if decision.code == OLDER and _is_past(services, found.model, version):
        return Skipped(f"version {version} was Production before version {found.version}")
    kind = EventType.HELD if decision.kind == "hold" else EventType.REJECTED
    return Done(events=(verdict_event(kind, event, services, decision),))


def _is_past(services: Services, model: ModelRef, version: str) -> bool:
    """Whether it was Production, and has a verdict: by hand it may have been before any."""
    history = services.history
    return version in history.champions(model) and history.is_decided(model, version)


def _ask(event: Event, services: Services, decision: Decision) -> Outcome:
    """Leave it to people, once for the same evidence under the same policy."""
    model, version = event.model, decision.candidate.version
    if model is None or services.mode == Mode.OBSERVE:
        reasons = ("would wait for approval; mode is observe", *decision.reasons)
        held = replace(decision, kind="hold", reasons=reasons)
        return Done(events=(verdict_event(EventType.HELD, event, services, held),))
    open_question = read_said(services.history.said(model, version)).question
    told = question(services, decision)
    same = {**told, "reasons": list(decision.reasons)}
    if open_question and all(
        open_question.data.get(key) == same[key] for key in ("evidence", "policy", "reasons")
    ):
        return Done(note=f"waits for approval since {open_question.recorded_at:%Y-%m-%d %H:%M} UTC")
    if open_question and open_question.data.get("evidence") == told["evidence"]:
        told["expires_at"] = open_question.data["expires_at"]  # more approvals give no more time
    return Done(
        events=(verdict_event(EventType.APPROVAL_REQUESTED, event, services, decision, told),)
    )


def question(services: Services, decision: Decision) -> dict[str, Any]:
    """What the question to people holds: on what they decide, who may, until when."""
    rule, now = services.policy.promote.approval, services.clock.now()
    return {
        "evidence": decision.evidence,
        "policy": services.policy.ref,
        "required": rule.required,
        "from": list(services.policy.approvers),
        "author": decision.author,
        "given": [word.actor for word in decision.approvals],
        "expires_at": (now + timedelta(hours=rule.expires_hours)).isoformat(),
    }


def _would_promote(event: Event, services: Services, decision: Decision) -> Done:
    first, *others = decision.reasons
    would = f"would be promoted: {first}; mode is {services.mode}"
    held = replace(decision, kind="hold", code=str(services.mode), reasons=(would, *others))
    told = {"would": "promoted"}
    return Done(events=(verdict_event(EventType.HELD, event, services, held, told),))


def _act(event: Event, services: Services, decision: Decision, found: Production) -> Outcome | None:
    """Replicas first, so that Production never names a version that cannot be served."""
    preparation = changeover.prepare(services, found.model, decision.candidate.version)
    told = {"prepared": preparation.as_list()}
    if preparation.refusal:
        reasons = (preparation.refusal, *decision.reasons)
        held = replace(decision, kind="hold", code="not_servable", reasons=reasons)
        return Done(events=(verdict_event(EventType.HELD, event, services, held, told),))
    now = production.read(services, found.model)
    if _seen(services, now, decision) != _seen(services, found, decision):
        return None
    rejected = services.history.rejected_by_person(found.model)
    if decision.candidate.version in rejected and decision.code != "override":
        return None  # a person said no while the replicas prepared
    return _change(event, services, numbered(services, found, decision), now, told=told)


def _seen(services: Services, found: Production, decision: Decision) -> tuple[object, ...]:
    """What must be as it was when that was decided: Production, and what gates read."""
    info = found.versions.get(decision.candidate.version)
    if info is None:
        return (None,)
    tags = {key: info.tags.get(key) for key in read_tags(services.policy)}
    return found.version, found.problem, tags, bool(info.description.strip())


def _finish(event: Event, services: Services, found: Production, begun: halfway.Begun) -> Outcome:
    """An earlier try wrote Production and no more: judge as it did, and write the rest.

    Also in a pause, and whatever people said since: Production is the version already.
    """
    before = begun.before(found)
    decision = numbered(services, before, weigh(event, services, before, begun.version))
    if decision.kind != "promote":
        reasons = ("it was made Production before this could be known", *decision.reasons)
        decision = replace(decision, code="begun", reasons=reasons)
    return _change(event, services, decision, before, told={}, at=begun.at)


def _change(
    event: Event,
    services: Services,
    decision: Decision,
    before: Production,
    *,
    told: Mapping[str, Any],
    at: datetime | None = None,
) -> Done:
    """Write it; ``before.version`` is the version that it replaces, ``at`` None is now."""
    version = decision.candidate.version
    readings = changeover.change(services, before, version, previous=before.version)
    promoted = verdict_event(EventType.PROMOTED, event, services, decision, told)
    promoted = replace(promoted, before=before.version, after=version, occurred_at=at)
    return Done(events=(promoted,), readings=readings)
