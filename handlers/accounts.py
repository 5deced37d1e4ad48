"""One account for each kind of event: what happened, why, and what to do next, in plain words.

``handlers/messages.py`` picks the account and adds what all have in common.
"""

from dataclasses import dataclass
from typing import Any, Literal

from handlers import measured
from handlers.wording import Decision, Fact, Rollout, command, number, sentences, short
from steward.events import Event, direction

Severity = Literal["info", "success", "warning", "failure"]
SHOWN_FACTS = 12
_BETTER = "Register a better model, as a new version."

_HELD_BECAUSE = {
    "below_margin": "not better by enough",
    "worse_metric": "another metric got worse",
    "incomplete": "evidence is missing",
    "ambiguous": "a metric has several values",
    "production_unclear": "it is unclear what Production is",
    "two_in_production": "two versions are in Production",
    "champion_metric_missing": "Production has no number to compare with",
    "champion_metric_ambiguous": "Production has several numbers to compare with",
    "champion_metric_invalid": "Production has no valid number to compare with",
    "check_incomplete": "a check could not be made",
    "not_comparable": "it cannot be compared fairly",
    "inconclusive": "the holdout is too small to tell",
    "not_servable": "replicas cannot serve it",
    "not_ready": "the registry has not finished it",
    "approval_expired": "nobody approved it in time",
    "first_version": "the first version is left to a person",
    "no_rule": "promotion is left to a person",
    "rolled_back_from": "Production was rolled back from it",
    "older_than_production": "older than Production",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What is told, without a form: every field is plain text, lists may be empty.

    ``topic`` is the event type that it is about; ``note`` a remark on the sending itself.
    """

    title: str
    lead: str
    topic: str = ""
    severity: Severity = "info"
    facts: tuple[Fact, ...] = ()
    reasons: tuple[str, ...] = ()
    serving: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    links: tuple[Fact, ...] = ()
    footer: tuple[str, ...] = ()
    note: str = ""


def tell_promoted(event: Event, rollout: Rollout | None) -> Message:
    """A version is in Production, with what its rollout came to."""
    decision, subject = Decision.read(event.data), _subject(event)
    failed = _failed(rollout)
    before = ""
    if decision.champion:
        before = f" It replaced version {decision.champion.version}."
    elif "champion" in event.data:
        before = " Nothing was in Production before."
    return Message(
        title=f"{subject} promoted to Production" + (", but not every replica serves it" * failed),
        lead=f"{subject} is now in Production.{before}",
        severity="failure" if failed else "success",
        facts=(*decision.facts, *measured.facts(event.data)),
        reasons=decision.reasons,
        serving=rollout.lines if rollout else (),
        next_steps=_after_rollout(event, event.version, rollout)
        or decision.next_steps
        or _undo(event, decision),
    )


def _undo(event: Event, decision: Decision) -> tuple[str, ...]:
    """Nothing is to be done; how to go back, where there is something to go back to."""
    if decision.champion is None:
        return ("Nothing.",)
    return (f"Nothing. To go back: {command('rollback', _name(event))}",)


def tell_held(event: Event, _rollout: Rollout | None) -> Message:
    """A version that was not promoted, or would have been."""
    decision, subject = Decision.read(event.data), _subject(event)
    would = decision.would == "promoted"
    because = _HELD_BECAUSE.get(decision.code, decision.code.replace("_", " "))
    stays = _stays(decision)
    mode = decision.mode or "recommend"
    title = f"{subject} would be promoted" if would else f"{subject} held"
    lead = (
        f"{subject} meets every rule. In mode {mode} Steward changes nothing.{stays}"
        if would
        else f"{subject} was not promoted.{stays}"
    )
    suggestion = (
        "Promote it in MLflow's pages, or set `mode: act` in the policy." if would else _BETTER
    )
    return Message(
        title=title if would or not because else f"{title}: {because}",
        lead=lead,
        severity="info" if would else "warning",
        facts=(*decision.facts, *measured.facts(event.data)),
        reasons=decision.reasons,
        next_steps=decision.next_steps or (suggestion,),
    )


def tell_rejected(event: Event, _rollout: Rollout | None) -> Message:
    """A version that fails the policy."""
    decision, subject = Decision.read(event.data), _subject(event)
    return Message(
        title=f"{subject} rejected",
        lead=f"{subject} does not meet what the policy requires, so it was not promoted."
        + _stays(decision),
        severity="warning",
        facts=(*decision.facts, *measured.facts(event.data)),
        reasons=decision.reasons,
        next_steps=decision.next_steps or (_BETTER,),
    )


def tell_approval_requested(event: Event, _rollout: Rollout | None) -> Message:
    """A version waits for people."""
    decision, subject = Decision.read(event.data), _subject(event)
    expires = short(event.data.get("expires_at") or "")[:16].replace("T", " ")
    until = f", until {expires} UTC" if expires else ""
    return Message(
        title=f"{subject} waits for approval",
        lead=f"{subject} is promoted when people approve it{until}." + _stays(decision),
        severity="warning",
        facts=(*decision.facts, *measured.facts(event.data)),
        reasons=decision.reasons,
        next_steps=decision.next_steps,
    )


def tell_person_rejected(event: Event, _rollout: Rollout | None) -> Message:
    """A person's no, which only an override passes."""
    decision, subject = Decision.read(event.data), _subject(event)
    actor = short(event.data.get("actor") or "an unknown person, by tag")
    return Message(
        title=f"{subject} rejected by {actor}",
        lead=f"{subject} is not promoted by automation any more.",
        severity="warning",
        reasons=decision.reasons or sentences(event.data.get("reason")),
        next_steps=decision.next_steps or (_past_a_no(event),),
    )


def _past_a_no(event: Event) -> str:
    subject = (event.model.name if event.model else "MODEL", str(event.version))
    override = command("promote", *subject, "--override", "--reason", "WHY")
    return f"Register a better version; only an override promotes this one: {override}"


def tell_approval_expired(event: Event, _rollout: Rollout | None) -> Message:
    """Nobody answered in time."""
    decision, subject = Decision.read(event.data), _subject(event)
    return Message(
        title=f"{subject} held: nobody approved it in time",
        lead=f"{subject} was not promoted.",
        severity="warning",
        reasons=decision.reasons,
        next_steps=decision.next_steps,
    )


def tell_champion_changed(event: Event, rollout: Rollout | None) -> Message:
    """Production as a person changed it in the registry."""
    before, after = version_text(event.before), version_text(event.after)
    name, failed = _name(event), _failed(rollout)
    what = f"is now version {after}" if after else "is empty now"
    was = f"; it was version {before}" if before else "; it was empty"
    title = f"{name} {f'version {after}' if after else ''} put into Production by hand"
    if not after:
        title = f"{name} has no version in Production any more"
    undo = f"If nobody meant this: {command('rollback', name, before)}" if before and after else ""
    return Message(
        title=" ".join(title.split()) + (", but not every replica serves it" * failed),
        lead=f"Production of {name} {what}{was}. Somebody changed it in the registry; "
        "Steward did not decide it and follows.",
        severity="failure" if failed else "warning",
        serving=rollout.lines if rollout else (),
        next_steps=_after_rollout(event, after, rollout) or sentences(undo),
    )


def tell_rolled_back(event: Event, rollout: Rollout | None) -> Message:
    """Production went back to an earlier version."""
    left, now = version_text(event.version), version_text(event.after)
    name, failed = _name(event), _failed(rollout)
    back_to = f"version {now}" if now else "no version"
    left_as = f"version {left}" if left else "the version before"
    actor, way = event.data.get("actor"), direction(left, now)
    return Message(
        title=f"{name} {left_as} rolled back; Production is {back_to}"
        + (", but not every replica serves it" * failed),
        lead=f"Production of {name} went {way} from {left_as} to {back_to}.",
        severity="failure" if failed else "warning",
        facts=(("Asked for by", short(actor)),) if actor else (),
        reasons=sentences(event.data.get("reason")),
        serving=rollout.lines if rollout else (),
        next_steps=_after_rollout(event, None, rollout)
        or (f"Automation will not promote {left_as} again. Register a mended version.",),
    )


def tell_violated(event: Event, _rollout: Rollout | None) -> Message:
    """The registry is not as the policy says."""
    violation = short(event.data.get("violation") or "").replace("_", " ")
    detail = short(event.data.get("detail") or "")
    return Message(
        title=f"{_subject(event)}: policy violated" + (f": {violation}" if violation else ""),
        lead=detail or "The registry is not as the policy says.",
        severity="warning",
        next_steps=sentences(event.data.get("next"))
        or ("Steward changed nothing. Put it right in MLflow's pages.",),
    )


def tell_died(event: Event, _rollout: Rollout | None) -> Message:
    """Steward gave up on something."""
    known = event.data
    event_id = short(known.get("event_id") or "")
    handler = short(known.get("handler") or "a handler")
    labels = (("Event", "event_type"), ("Target", "target"), ("Attempts", "attempts"))
    replay = command("events", "replay", event_id or "EVENT")
    return Message(
        title=f"{_subject(event)}: {handler} gave up",
        lead=f"Steward could not finish '{handler}' for {_subject(event)} and will not try again "
        "by itself.",
        severity="failure",
        facts=tuple((label, short(known[key])) for label, key in labels if known.get(key)),
        reasons=sentences(known.get("error")),
        next_steps=(f"When the cause is gone: {replay}",),
    )


def tell_anything(event: Event, rollout: Rollout | None) -> Message | None:
    """Every other event, by what it holds; None when that is nothing."""
    told = {key: value for key, value in event.data.items() if isinstance(value, str | int | float)}
    if event.before is not None or event.after is not None:
        told |= {"before": event.before, "after": event.after}
    if not told and not rollout and event.model is None:
        return None
    failed = _failed(rollout)
    facts = tuple((key, _tell_value(value)) for key, value in list(told.items())[:SHOWN_FACTS])
    return Message(
        title=f"{_subject(event)}: {event.type}",
        lead=f"Steward recorded {event.type} for {_subject(event)}.",
        severity="failure" if failed else "info",
        facts=() if rollout else facts,
        serving=rollout.lines if rollout else (),
        next_steps=_after_rollout(event, event.version, rollout),
    )


def _name(event: Event) -> str:
    return short(event.model) if event.model else "Steward"


def version_text(value: Any) -> str:
    return short(value) if value is not None else ""


def _subject(event: Event) -> str:
    return _name(event) + (f" version {short(event.version)}" if event.version else "")


def _tell_value(value: Any) -> str:
    return number(value) if isinstance(value, float) else short(value)


def _stays(decision: Decision) -> str:
    champion = decision.champion
    return f" Version {champion.version} stays in Production." if champion else ""


def _failed(rollout: Rollout | None) -> bool:
    return rollout is not None and (rollout.has_failed or bool(rollout.stragglers))


def _after_rollout(event: Event, version: str | None, rollout: Rollout | None) -> tuple[str, ...]:
    """What to do about replicas in trouble; nothing when there are none."""
    if not _failed(rollout):
        return ()
    look = "Look at the log of each replica named above; a replica that comes back is told again."
    back = f"To go back: {command('rollback', _name(event))}" if version else ""
    return (look, *sentences(back))
