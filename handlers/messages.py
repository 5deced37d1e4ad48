"""What people are told about an event: event and causal chain in, :class:`Message` out.

Pure. Called by ``handlers/notify.py``, and by ``steward notify test`` with an example. How a
message looks in each form is up to ``handlers/templates``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from handlers.wording import (
    Decision,
    Fact,
    Links,
    Rollout,
    command,
    number,
    sentences,
    short,
)
from steward.events import Event, EventType

Severity = Literal["info", "success", "warning", "failure"]
ROLLOUTS = frozenset({EventType.ROLLOUT_FINISHED, EventType.ROLLOUT_FAILED})
SHOWN_FACTS = 12

_HELD_BECAUSE = {
    "below_margin": "not better by enough",
    "incomplete": "evidence is missing",
    "production_unclear": "it is unclear what Production is",
    "paused": "automation is paused",
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


def compose(event: Event, chain: Sequence[Event], links: Links) -> Message | None:
    """Say what happened; None when the event holds nothing that could be told.

    ``chain`` is the event and what it came from, newest first, as ``History.chain`` gives it.
    """
    about = subject_of(event, chain)
    tell = _TELL.get(about.type, _tell_anything)
    message = tell(about, Rollout.read(event) if event.type in ROLLOUTS else None)
    if message is None:
        return None
    decided_by = Decision.read(about.data).signature
    at = f"{about.occurred_at:%Y-%m-%d %H:%M:%S} UTC"
    return replace(
        message,
        topic=about.type,
        links=_links(about, links),
        footer=(*sentences(decided_by), at, f"event {about.id}"),
    )


def subject_of(event: Event, chain: Sequence[Event]) -> Event:
    """The event a message is about: for a rollout the change that caused it, else the event.

    A promotion or rollback is told with what the replicas then served, so its rollout carries it.
    """
    if event.type not in ROLLOUTS:
        return event
    decided = (EventType.PROMOTED, EventType.ROLLED_BACK)
    by_steward = next((cause for cause in chain if cause.type in decided), None)
    changed = next((cause for cause in chain if cause.type == EventType.CHAMPION_CHANGED), None)
    return by_steward or changed or event


def _tell_promoted(event: Event, rollout: Rollout | None) -> Message:
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
        facts=decision.facts,
        reasons=decision.reasons,
        serving=rollout.lines if rollout else (),
        next_steps=_after_rollout(event, event.version, rollout)
        or decision.next_steps
        or (f"Nothing. To go back: {command('rollback', _name(event))}",),
    )


def _tell_held(event: Event, _rollout: Rollout | None) -> Message:
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
        "Promote it in MLflow's pages, or set `mode: act` in the policy."
        if would
        else "It is judged again when its evidence changes; a better model is a new version."
    )
    return Message(
        title=title if would or not because else f"{title}: {because}",
        lead=lead,
        severity="info" if would else "warning",
        facts=decision.facts,
        reasons=decision.reasons,
        next_steps=decision.next_steps or (suggestion,),
    )


def _tell_rejected(event: Event, _rollout: Rollout | None) -> Message:
    decision, subject = Decision.read(event.data), _subject(event)
    suggestion = "Mend what the reasons name; it is then judged again. Or register a better model."
    return Message(
        title=f"{subject} rejected",
        lead=f"{subject} does not meet what the policy requires, so it was not promoted."
        + _stays(decision),
        severity="warning",
        facts=decision.facts,
        reasons=decision.reasons,
        next_steps=decision.next_steps or (suggestion,),
    )


def _tell_champion_changed(event: Event, rollout: Rollout | None) -> Message:
    before, after = _version(event.before), _version(event.after)
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


def _tell_rolled_back(event: Event, rollout: Rollout | None) -> Message:
    left, now = _version(event.version), _version(event.after)
    name, failed = _name(event), _failed(rollout)
    back_to = f"version {now}" if now else "no version"
    left_as = f"version {left}" if left else "the version before"
    actor = event.data.get("actor")
    return Message(
        title=f"{name} {left_as} rolled back; Production is {back_to}"
        + (", but not every replica serves it" * failed),
        lead=f"Production of {name} went back from {left_as} to {back_to}.",
        severity="failure" if failed else "warning",
        facts=(("Asked for by", short(actor)),) if actor else (),
        reasons=sentences(event.data.get("reason")),
        serving=rollout.lines if rollout else (),
        next_steps=_after_rollout(event, None, rollout)
        or (f"Automation will not promote {left_as} again. Register a mended version.",),
    )


def _tell_violated(event: Event, _rollout: Rollout | None) -> Message:
    violation = short(event.data.get("violation") or "").replace("_", " ")
    detail = short(event.data.get("detail") or "")
    return Message(
        title=f"{_subject(event)}: policy violated" + (f": {violation}" if violation else ""),
        lead=detail or "The registry is not as the policy says.",
        severity="warning",
        next_steps=sentences(event.data.get("next"))
        or ("Steward changed nothing. Put it right in MLflow's pages.",),
    )


def _tell_died(event: Event, _rollout: Rollout | None) -> Message:
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


def _tell_anything(event: Event, rollout: Rollout | None) -> Message | None:
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


_TELL: dict[str, Callable[[Event, Rollout | None], Message | None]] = {
    EventType.PROMOTED: _tell_promoted,
    EventType.HELD: _tell_held,
    EventType.REJECTED: _tell_rejected,
    EventType.CHAMPION_CHANGED: _tell_champion_changed,
    EventType.ROLLED_BACK: _tell_rolled_back,
    EventType.POLICY_VIOLATED: _tell_violated,
    EventType.DISPATCH_DIED: _tell_died,
}
"""Who tells about which event; all others are told by what they hold."""


def _name(event: Event) -> str:
    return short(event.model) if event.model else "Steward"


def _version(value: Any) -> str:
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


def _links(event: Event, links: Links) -> tuple[Fact, ...]:
    """To the event that died; else to the version, the new one where Production changed."""
    if event.type == EventType.DISPATCH_DIED:
        return links.event(short(event.data.get("event_id") or event.id))
    version = event.version
    if event.type in (EventType.CHAMPION_CHANGED, EventType.ROLLED_BACK):
        version = _version(event.after) or event.version
    return links.version(event.model, version) or links.event(event.id)
