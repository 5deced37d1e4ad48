"""One account for each kind of decision, Steward's or people's: what was decided, why, what next.

``handlers/messages.py`` picks the account and adds what all have in common.
"""

from handlers import measured
from handlers.telling import Message, after_rollout, has_failed, model_text, subject_text
from handlers.wording import Decision, Rollout, command, sentences, short
from steward.events import Event

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


def tell_promoted(event: Event, rollout: Rollout | None) -> Message:
    """A version is in Production, with what its rollout came to."""
    decision, subject = Decision.read(event.data), subject_text(event)
    failed = has_failed(rollout)
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
        next_steps=after_rollout(event, event.version, rollout)
        or decision.next_steps
        or _undo(event, decision),
    )


def _undo(event: Event, decision: Decision) -> tuple[str, ...]:
    """Nothing is to be done; how to go back, where there is something to go back to."""
    if decision.champion is None:
        return ("Nothing.",)
    return (f"Nothing. To go back: {command('rollback', model_text(event))}",)


def tell_held(event: Event, _rollout: Rollout | None) -> Message:
    """A version that was not promoted, or would have been."""
    decision, subject = Decision.read(event.data), subject_text(event)
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
    decision, subject = Decision.read(event.data), subject_text(event)
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
    decision, subject = Decision.read(event.data), subject_text(event)
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
    decision, subject = Decision.read(event.data), subject_text(event)
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
    decision, subject = Decision.read(event.data), subject_text(event)
    return Message(
        title=f"{subject} held: nobody approved it in time",
        lead=f"{subject} was not promoted.",
        severity="warning",
        reasons=decision.reasons,
        next_steps=decision.next_steps,
    )


def _stays(decision: Decision) -> str:
    champion = decision.champion
    return f" Version {champion.version} stays in Production." if champion else ""
