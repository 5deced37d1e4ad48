"""What people are told about an event: event and causal chain in, :class:`Message` out.

Pure. Called by ``handlers/notify.py``, and by ``steward notify test`` with an example. How a
message looks in each form is up to ``handlers/templates``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from handlers.accounts import (
    tell_anything,
    tell_champion_changed,
    tell_died,
    tell_rolled_back,
    tell_violated,
)
from handlers.accounts_of_decisions import (
    tell_approval_expired,
    tell_approval_requested,
    tell_held,
    tell_person_rejected,
    tell_promoted,
    tell_rejected,
)
from handlers.telling import Message, version_text
from handlers.wording import Decision, Fact, Links, Rollout, sentences, short
from steward.events import Event, EventType

ROLLOUTS = frozenset({EventType.ROLLOUT_FINISHED, EventType.ROLLOUT_FAILED})


def compose(event: Event, chain: Sequence[Event], links: Links) -> Message | None:
    """Say what happened; None when the event holds nothing that could be told.

    ``chain`` is the event and what it came from, newest first, as ``History.chain`` gives it.
    """
    about = subject_of(event, chain)
    tell = _TELL.get(about.type, tell_anything)
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


_TELL: dict[str, Callable[[Event, Rollout | None], Message | None]] = {
    EventType.PROMOTED: tell_promoted,
    EventType.HELD: tell_held,
    EventType.APPROVAL_REQUESTED: tell_approval_requested,
    EventType.APPROVAL_REJECTED: tell_person_rejected,
    EventType.APPROVAL_EXPIRED: tell_approval_expired,
    EventType.REJECTED: tell_rejected,
    EventType.CHAMPION_CHANGED: tell_champion_changed,
    EventType.ROLLED_BACK: tell_rolled_back,
    EventType.POLICY_VIOLATED: tell_violated,
    EventType.DISPATCH_DIED: tell_died,
}
"""Who tells about which event; all others are told by what they hold."""


def _links(event: Event, links: Links) -> tuple[Fact, ...]:
    """To the event that died; else to the version, the new one where Production changed."""
    if event.type == EventType.DISPATCH_DIED:
        return links.event(short(event.data.get("event_id") or event.id))
    version = event.version
    if event.type in (EventType.CHAMPION_CHANGED, EventType.ROLLED_BACK):
        version = version_text(event.after) or event.version
    return links.version(event.model, version) or links.event(event.id)
