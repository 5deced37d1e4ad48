"""One account for each other kind of event: Production changed, something is wrong, or anything.

``handlers/messages.py`` picks the account and adds what all have in common.
"""

from typing import Any

from handlers.telling import (
    Message,
    after_rollout,
    has_failed,
    model_text,
    subject_text,
    version_text,
)
from handlers.wording import Rollout, command, number, sentences, short
from steward.events import Event, direction

SHOWN_FACTS = 12


def tell_champion_changed(event: Event, rollout: Rollout | None) -> Message:
    """Production as a person changed it in the registry."""
    before, after = version_text(event.before), version_text(event.after)
    name, failed = model_text(event), has_failed(rollout)
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
        next_steps=after_rollout(event, after, rollout) or sentences(undo),
    )


def tell_rolled_back(event: Event, rollout: Rollout | None) -> Message:
    """Production went back to an earlier version."""
    left, now = version_text(event.version), version_text(event.after)
    name, failed = model_text(event), has_failed(rollout)
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
        next_steps=after_rollout(event, None, rollout)
        or (f"Automation will not promote {left_as} again. Register a mended version.",),
    )


def tell_violated(event: Event, _rollout: Rollout | None) -> Message:
    """The registry is not as the policy says."""
    violation = short(event.data.get("violation") or "").replace("_", " ")
    detail = short(event.data.get("detail") or "")
    return Message(
        title=f"{subject_text(event)}: policy violated" + (f": {violation}" if violation else ""),
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
        title=f"{subject_text(event)}: {handler} gave up",
        lead=f"Steward could not finish '{handler}' for {subject_text(event)} and will not try "
        "again by itself.",
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
    failed = has_failed(rollout)
    facts = tuple((key, _tell_value(value)) for key, value in list(told.items())[:SHOWN_FACTS])
    return Message(
        title=f"{subject_text(event)}: {event.type}",
        lead=f"Steward recorded {event.type} for {subject_text(event)}.",
        severity="failure" if failed else "info",
        facts=() if rollout else facts,
        serving=rollout.lines if rollout else (),
        next_steps=after_rollout(event, event.version, rollout),
    )


def _tell_value(value: Any) -> str:
    return number(value) if isinstance(value, float) else short(value)
