"""Changes of Production that a dispatch began and stopped short of its end: what came about.

Called by ``promote`` and ``rollback`` when they are tried again. A dispatch that waits for that
holds no lane: others may have passed it, and what it wrote is told in its place all the same.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from handlers.production import Production
from steward.events import OVERTAKEN, Event, EventType, ModelRef, NewEvent
from steward.policy import PREVIOUS_ALIAS
from steward.ports import Intent, Services


@dataclass(frozen=True, slots=True)
class Begun:
    """A change of Production that this dispatch began before it stopped short of its end."""

    version: str
    previous: str | None
    at: datetime
    is_standing: bool
    """Whether ``version`` is Production still; else another took its place meanwhile."""

    def before(self, found: Production) -> Production:
        """Production as it was before; a version that was deleted since is no more."""
        previous = self.previous if self.previous in found.versions else None
        return replace(found, version=previous, problem="")

    def overtaken(self, told: NewEvent) -> NewEvent:
        """The event that tells of it too late: it happened before what passed it."""
        return replace(told, occurred_at=self.at, data={**told.data, OVERTAKEN: True})


def begun(services: Services, found: Production) -> Begun | None:
    """What an earlier try made Production, and did not come to record.

    Whether a write came about that another passed, the journal knows by who read it, and by who
    replaced it. What another says to have made Production after it, was not made by this one.
    """
    intended = services.ledger.begun()
    previous = {at: one.value for one, at in intended if one.facet == f"alias:{PREVIOUS_ALIAS}"}
    for intent, at in reversed(intended):
        version = _made_production(services, intent)
        if version is None:
            continue
        change = Begun(version, previous.get(at), at, is_standing=version == found.version)
        first = _first_to_name(services, found.model, change)
        is_of_another = first is not None and not _is_reading(first) and first.after == version
        came_about = change.is_standing or first or _is_being_replaced(services, intent, change)
        if came_about and not is_of_another:
            return change
    return None


def _made_production(services: Services, intent: Intent) -> str | None:
    """The version that this write would make Production, by what the policy holds for the truth."""
    rule = services.policy.production
    if rule.stage:
        return intent.subject if (intent.facet, intent.value) == ("stage", rule.stage) else None
    return intent.value if intent.facet == f"alias:{rule.alias}" else None


def truth(services: Services, model: ModelRef, version: str) -> Intent:
    """The write that makes a version Production, by what the policy holds for the truth."""
    rule = services.policy.production
    if rule.stage:
        return Intent(model, version, "stage", rule.stage)
    return Intent(model, "", f"alias:{rule.alias}", version)


def _is_being_replaced(services: Services, intent: Intent, begun: Begun) -> bool:
    """Whether another found it in Production, and stopped halfway too: it has told nobody yet."""
    replaced = Intent(intent.model, "", f"alias:{PREVIOUS_ALIAS}", begun.version)
    return services.ledger.times_intended(replaced, since=begun.at) > 0


def _first_to_name(services: Services, model: ModelRef, begun: Begun) -> Event | None:
    changes = services.history.changes(model, since=begun.at)
    return next((change for change in changes if _names(change, begun.version)), None)


def _names(change: Event, version: str) -> bool:
    """Whether a change shows that the version was Production; a reading's past may be stale."""
    was_replaced = change.before == version and not _is_reading(change)
    return change.after == version or was_replaced


def _is_reading(change: Event) -> bool:
    return change.type == EventType.CHAMPION_CHANGED
