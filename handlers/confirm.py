"""Read who is Production after somebody changed a stage or an alias, and keep the mirror in step.

Also when a pause of the model has ended, for the aliases that it left as they were. Runs in the
lane ``production``. What it reads is recorded as the champion; the journal makes
``registered_model.champion_changed`` of a difference, so people's changes reach the replicas too.
"""

from dataclasses import replace
from typing import Literal

from handlers import aliases, changeover, production
from handlers.production import TWO_IN_PRODUCTION, Production
from steward.errors import NotFoundError, PermanentError, TransientError
from steward.events import Event, EventType, NewEvent
from steward.policy import PREVIOUS_ALIAS, Mode, Policy
from steward.ports import Done, Intent, Look, Outcome, Reading, Services, Skipped

Moved = Literal["neither", "truth", "mirror", "both"]
WRITERS = ("promote", "rollback")
"""Handlers that may have died between a write of Production and its record."""
CONTESTED = (
    "alias {} was moved and put back {} times within an hour; it is left alone until that is over"
)
END_THE_OTHER = "End what else moves it: another Steward on this registry, or a job."
ALIASES = frozenset({EventType.ALIAS_CREATED, EventType.ALIAS_DELETED})


def confirm(event: Event, services: Services) -> Outcome:
    """Look, and record the champion; in mode act let truth and mirror follow each other."""
    model = event.model
    if model is None:
        return Skipped("the event names no model")
    if event.type == EventType.DISPATCH_DIED and event.data.get("handler") not in WRITERS:
        return Skipped(f"{event.data.get('handler')} writes no Production")
    look = services.history.look(model)
    try:
        found = production.read(services, model)
    except NotFoundError:
        return Skipped("the model was deleted")
    if found.problem == TWO_IN_PRODUCTION:
        return _violated(event, services, TWO_IN_PRODUCTION, found.reason)
    may_write = services.mode == Mode.ACT and not services.history.paused(model)
    if not may_write:
        return Done(readings=(_champion(look, found),))
    try:
        return _settle(event, services, look, found)
    except NotFoundError as error:
        raise TransientError(f"the model changed while its mirror followed: {error}") from error


def _as_it_stands(event: Event, services: Services, look: Look, found: Production) -> Done:
    """Production as it was found; the aliases beside it follow, where the registry lets us."""
    champion = _champion(look, found)
    is_about = _is_about_champion(event, services.policy)
    try:
        kept = aliases.keep(services, look, found, is_about_champion=is_about)
    except NotFoundError:
        raise
    except PermanentError as error:
        return Done(readings=(champion,), note=f"the aliases beside it stay as they are: {error}")
    if kept.contested:
        detail = CONTESTED.format(" and ".join(kept.contested), aliases.MOST_PUT_BACK)
        readings = (champion, *kept.readings)
        return _violated(event, services, "alias_contested", detail, *readings, todo=END_THE_OTHER)
    moved = ", ".join(reading.facet for reading in kept.readings)
    note = f"kept true: {moved}" if moved else ""
    return Done(readings=(champion, *kept.readings), note=note)


def _settle(event: Event, services: Services, look: Look, found: Production) -> Outcome:
    """Where truth and mirror differ, the one that moved wins, if both agreed before."""
    if not changeover.has_mirror(services) or found.truth == found.mirror:
        return _as_it_stands(event, services, look, found)
    if event.type == EventType.AUTOMATION_RESUMED and len(found.truth) == 1:
        return _follow_truth(event, services, look, found)
    before = look.value("", "champion")
    moved = what_moved(event, before, found, services.policy)
    if moved == "neither":
        return _as_it_stands(event, services, look, found)
    if moved == "truth" and not found.truth:
        return _clear_mirror(event, services, look, found)
    if moved in ("truth", "mirror"):
        (wins,) = found.truth if moved == "truth" else found.mirror
        previous = before if before in found.versions and before != wins else None
        return Done(
            readings=changeover.change(services, found, wins, previous=previous),
            note=f"version {wins} was made Production by hand; the {_other(moved)} followed",
        )
    detail = (
        f"{_place(services.policy)} has {_tell(found.truth)}, its mirror has {_tell(found.mirror)}"
        f", and Production was {_tell((before,) if before else ())}"
    )
    return _violated(event, services, "mirror_differs", detail, _champion(look, found))


def what_moved(event: Event, before: str | None, found: Production, policy: Policy) -> Moved:
    """Which of the two changed since both named ``before``; "both" when that is not how it was.

    Pure. A mirror that merely lags from long ago did not move, and neither did a truth that never
    named anything.
    """
    truth = found.truth[0] if found.truth else None
    mirror = found.mirror[0] if len(found.mirror) == 1 else None
    has_truth_moved = truth != before and (truth is not None or _left_truth(event, policy, before))
    if has_truth_moved:
        return "truth" if mirror == before else "both"
    if not _is_about_mirror(event, policy):
        return "neither"
    # A mirror that was taken away says nothing about who should be Production.
    return "mirror" if mirror is not None and _agreed(event, before) else "both"


def _left_truth(event: Event, policy: Policy, before: str | None) -> bool:
    """Whether the event took the champion out of its stage, or its alias away."""
    rule = policy.production
    if rule.stage:
        is_transition = event.type == EventType.VERSION_TRANSITIONED
        return is_transition and event.version == before and event.before == rule.stage
    return event.type == EventType.ALIAS_DELETED and _alias_of(event) == rule.alias


def _is_about_mirror(event: Event, policy: Policy) -> bool:
    rule = policy.production
    if rule.stage:
        return event.type in ALIASES and _alias_of(event) == rule.mirror_alias
    is_transition = event.type == EventType.VERSION_TRANSITIONED
    return is_transition and rule.mirror_stage in (event.before, event.after)


def _is_about_champion(event: Event, policy: Policy) -> bool:
    """Whether the event may have moved Production or ``previous_champion``; a deletion may."""
    rule = policy.production
    if event.type in ALIASES:
        return _alias_of(event) in (PREVIOUS_ALIAS, rule.any_alias)
    if event.type == EventType.VERSION_TRANSITIONED:
        return rule.any_stage in (event.before, event.after)
    return True


def _agreed(event: Event, before: str | None) -> bool:
    """Whether the mirror named the champion until this event; a stage's event cannot tell."""
    return event.type not in ALIASES or event.before == before


def _alias_of(event: Event) -> str | None:
    """The alias that moved: MLflow's webhook says ``alias``, a reading says ``key``."""
    return event.data.get("alias") or event.data.get("key")


def _follow_truth(event: Event, services: Services, look: Look, found: Production) -> Done:
    """A pause ended in which one of the two was moved by hand, whichever: the truth decides."""
    changeover.change(services, found, found.truth[0], previous=None)
    return _read_again(event, services, look, found, "the mirror follows Production again")


def _clear_mirror(event: Event, services: Services, look: Look, found: Production) -> Done:
    """Production was emptied by hand: the mirror names nothing any more either."""
    rule, model = services.policy.production, found.model
    if rule.mirror_alias:
        services.ledger.intend([Intent(model, "", f"alias:{rule.mirror_alias}", None)])
        services.registry.delete_alias(model, rule.mirror_alias)
    else:
        archived = [Intent(model, version, "stage", "Archived") for version in found.mirror]
        services.ledger.intend(archived)
        for version in found.mirror:
            services.registry.set_stage(model, version, "Archived", archive_existing=False)
    return _read_again(event, services, look, found, "Production was emptied by hand")


def _read_again(event: Event, services: Services, look: Look, found: Production, note: str) -> Done:
    """Production as it is after the mirror was written; ``note`` says why it was."""
    done = _as_it_stands(event, services, look, production.read(services, found.model))
    return replace(done, note=f"{note}; {done.note}" if done.note else note)


def _champion(look: Look, found: Production) -> Reading:
    return look.reading("", "champion", found.version)


def _violated(
    event: Event,
    services: Services,
    violation: str,
    detail: str,
    *readings: Reading,
    todo: str = "",
) -> Done:
    """Tell people, write nothing; a registry that is only observed breaks no rule of ours."""
    if services.mode == Mode.OBSERVE:
        return Done(readings=readings, note=detail)
    told = {
        "violation": violation,
        "detail": detail,
        "policy": services.policy.ref,
        "mode": str(services.mode),
        **({"next": todo} if todo else {}),
    }
    violated = NewEvent(EventType.POLICY_VIOLATED, event.model, event.version, data=told)
    return Done(events=(violated,), readings=readings)


def _place(policy: Policy) -> str:
    rule = policy.production
    return f"stage {rule.stage}" if rule.stage else f"alias {rule.alias}"


def _tell(versions: tuple[str, ...]) -> str:
    return f"version {' and '.join(versions)}" if versions else "none"


def _other(moved: Moved) -> str:
    return "mirror" if moved == "truth" else "truth"
