"""The form of what is told about an event, and the words that all accounts share."""

from dataclasses import dataclass
from typing import Any, Literal

from handlers.wording import Fact, Rollout, command, sentences, short
from steward.events import Event

Severity = Literal["info", "success", "warning", "failure"]


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


def model_text(event: Event) -> str:
    """Its model; Steward where it is about none."""
    return short(event.model) if event.model else "Steward"


def version_text(value: Any) -> str:
    """A version out of an event's ``before`` or ``after``; empty where there is none."""
    return short(value) if value is not None else ""


def subject_text(event: Event) -> str:
    """The model, and the version where the event is about one."""
    return model_text(event) + (f" version {short(event.version)}" if event.version else "")


def has_failed(rollout: Rollout | None) -> bool:
    """Whether it ended badly, or leaves a replica that does not serve what it should."""
    return rollout is not None and (rollout.has_failed or bool(rollout.stragglers))


def after_rollout(event: Event, version: str | None, rollout: Rollout | None) -> tuple[str, ...]:
    """What to do about replicas in trouble; nothing when there are none."""
    if not has_failed(rollout):
        return ()
    look = "Look at the log of each replica named above; a replica that comes back is told again."
    back = f"To go back: {command('rollback', model_text(event))}" if version else ""
    return (look, *sentences(back))
