"""Go back to the previous good version, by the same road as a promotion.

Runs in the model's lane ``production``: for ``rollback.requested``, and for ``rollout.failed``
where the policy asks for it.
"""

from datetime import datetime
from itertools import takewhile

from handlers import changeover, halfway, production
from handlers.production import TWO_IN_PRODUCTION, Production
from steward.errors import NotFoundError, PermanentError, TransientError
from steward.events import Event, EventType, ModelRef, NewEvent, direction
from steward.policy import Mode
from steward.ports import Done, Outcome, Services, Skipped

ROLLBACKS = frozenset({EventType.ROLLBACK_REQUESTED, EventType.ROLLED_BACK})


def rollback(event: Event, services: Services) -> Outcome:
    """Leave the present Production for an earlier version, and say so."""
    model = event.model
    if model is None:
        return Skipped("the event names no model")
    if services.mode != Mode.ACT:
        return Skipped(f"mode is {services.mode}: Production is not changed")
    if done := _why_not_again(event, services):
        return Skipped(done)
    try:
        return _go_back(event, services, model)
    except NotFoundError as error:
        return _gone(model, services, error)


def _gone(model: ModelRef, services: Services, error: NotFoundError) -> Skipped:
    """Skipped when it is the model; else TransientError, for Production may be half changed."""
    try:
        services.registry.model(model)
    except NotFoundError:
        return Skipped("the model was deleted")
    raise TransientError(f"a version was deleted while Production went back: {error}") from error


def _go_back(event: Event, services: Services, model: ModelRef) -> Outcome:
    found = production.read(services, model)
    if begun := halfway.begun(services, found):  # an earlier try wrote Production and no more
        return _change(event, services, begun.before(found), begun.version, at=begun.at)
    if unfit := _why_not_automatic(event, model, services):
        return Skipped(unfit)
    target, reason = _target(event, services, found)
    if target is None:
        return Skipped(reason)
    preparation = changeover.prepare(services, model, target)
    if preparation.refusal:
        raise PermanentError(f"Production stays version {found.version}: {preparation.refusal}")
    now = production.read(services, model)
    if now.version != found.version:
        return Skipped(f"Production became version {now.version} while the replicas prepared")
    return _change(event, services, now, target)


def _why_not_again(event: Event, services: Services) -> str | None:
    """A replay of a rollback that was made would go back one version more."""
    for known in services.history.caused(event.id):
        if known.type == EventType.ROLLED_BACK:
            way = direction(known.before, known.after)
            return f"done already: Production went {way} to version {known.after}"
    return None


def _why_not_automatic(event: Event, model: ModelRef, services: Services) -> str | None:
    """One step back, only after a promotion's own rollout, only where a live replica refused.

    None when it may be, and always for what a person asked for.
    """
    if event.type != EventType.ROLLOUT_FAILED:
        return None
    if services.policy.reload.on_failure != "rollback":
        return "the policy says to tell people, not to roll back"
    if event.data.get("cause") != EventType.PROMOTED:
        return "only a promotion is rolled back by itself"
    if any(cause.type in ROLLBACKS for cause in services.history.chain(event.id)):
        return "this already comes from a rollback"
    if not any(replica.get("refused") for replica in event.data.get("replicas", ())):
        return "no live replica refused the version; one that is down demotes nothing"
    paused = services.history.paused(model)
    return f"automation is {paused}" if paused else None


def _target(event: Event, services: Services, found: Production) -> tuple[str | None, str]:
    """The version to go back to; or None, and why there is none."""
    model, wanted = found.model, event.data.get("to")
    if found.problem == TWO_IN_PRODUCTION:
        return None, found.reason
    if event.type == EventType.ROLLOUT_FAILED and found.version != event.data.get("version"):
        return None, f"superseded: Production is version {found.version} by now"
    if wanted is None and _was_changed_since(event, services, found):
        made = f"Steward made version {found.version} Production after this was asked for"
        return None, f"{made}; look, and ask again to go back from it"
    if wanted is not None:
        return _asked_for(str(wanted), services, found)
    passed = _passed_over(services, found)
    for version in services.history.champions(model):
        if version != found.version and version not in passed:
            return version, ""
    nothing = f"{model} has no earlier good version to go back to"
    return None, "; ".join([nothing, *passed.values()])


def _was_changed_since(event: Event, services: Services, found: Production) -> bool:
    """Whether Steward made Production what it is only after this was asked for."""
    if found.version is None:
        return False
    asked_at = event.recorded_at
    made = production.made_since(services, found.model, found.version, asked_at)
    return any(change.occurred_at > asked_at for change in made)


def _passed_over(services: Services, found: Production) -> dict[str, str]:
    """Versions that were Production and are not gone back to, latest first, each with a reason."""
    left = services.history.rolled_back_from(found.model)
    refused = services.history.rejected_by_person(found.model)
    passed: dict[str, str] = {}
    for version in dict.fromkeys(services.history.champions(found.model)):
        why = None
        if version not in found.versions:
            why = "it was deleted"
        elif version in refused:
            why = "a person rejected it"
        elif _is_rejected(version, found.model, services):
            why = "it was rejected"
        elif version in left:
            why = "Production was rolled back from it before"
        if why and version != found.version:
            passed[version] = f"version {version} was passed over: {why}"
    return passed


def _passed_before(event: Event, services: Services, before: Production, target: str) -> list[str]:
    """Why the versions later than the target were passed over; nothing where a person named it."""
    if event.data.get("to") is not None:
        return []
    passed = _passed_over(services, before)
    champions = services.history.champions(before.model)
    later = takewhile(lambda version: version != target, dict.fromkeys(champions))
    return [passed[version] for version in later if version in passed]


def _asked_for(version: str, services: Services, found: Production) -> tuple[str | None, str]:
    """The version that a person named: no way past the gates, so one that was Production."""
    if version == found.version:
        return None, f"version {version} is Production already"
    if version not in found.versions:
        return None, f"{found.model} has no version {version}"
    if _is_rejected(version, found.model, services):
        return None, f"version {version} was rejected"
    if version not in services.history.champions(found.model):
        return None, (
            f"version {version} never was Production, as far as the journal knows; to make it "
            f"Production by the gates: steward promote {found.model.name} {version}"
        )
    return version, ""


def _is_rejected(version: str, model: ModelRef, services: Services) -> bool:
    standing = services.history.verdict(model, version)
    by_policy = standing is not None and standing.verdict == "rejected"
    return by_policy or version in services.history.rejected_by_person(model)


def _change(
    event: Event,
    services: Services,
    before: Production,
    target: str,
    *,
    at: datetime | None = None,
) -> Done:
    """Write it; ``before.version`` is the version that is left, ``at`` None is now."""
    readings = changeover.change(services, before, target, previous=before.version)
    is_automatic = event.type == EventType.ROLLOUT_FAILED
    reason = event.data.get("reason") or ("a replica refused it" if is_automatic else "")
    told = f"rolled back to version {target}" + (f": {reason}" if reason else "")
    rolled_back = NewEvent(
        EventType.ROLLED_BACK,
        before.model,
        before.version,
        before=before.version,
        after=target,
        data={
            "verdict": "rolled_back",
            "code": "rollout_failed" if is_automatic else "asked_for",
            "reasons": [told, *_passed_before(event, services, before, target)],
            "reason": reason,
            "actor": event.data.get("actor") or "steward",
            "policy": services.policy.ref,
            "mode": str(services.mode),
        },
        occurred_at=at,
    )
    return Done(events=(rolled_back,), readings=readings)
