"""A change of Production that this dispatch began in an earlier try, and did not come to record.

Called by ``promote`` and ``rollback`` when they are tried again. Until it is ended nothing else of
its lane is done, so that only people and other programs can have changed Production since.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from handlers.production import Production, made_since
from steward.policy import PREVIOUS_ALIAS
from steward.ports import Intent, Services


@dataclass(frozen=True, slots=True)
class Begun:
    """``version`` is Production by our write ``at`` that time, in the place of ``previous``."""

    version: str
    previous: str | None
    at: datetime

    def before(self, found: Production) -> Production:
        """Production as it was before; a version that was deleted since is no more."""
        previous = self.previous if self.previous in found.versions else None
        return replace(found, version=previous, problem="")


def begun(services: Services, found: Production) -> Begun | None:
    """What is to be finished; None where nothing was written, or where it stands no more."""
    intended = services.ledger.begun()
    previous = {at: one.value for one, at in intended if one.facet == f"alias:{PREVIOUS_ALIAS}"}
    for intent, at in reversed(intended):
        version = _made_production(services, intent)
        if version is not None and found.truth == (version,):
            # What died here can be replayed, and another dispatch may have made it by then.
            is_of_another = any(made_since(services, found.model, version, at))
            return None if is_of_another else Begun(version, previous.get(at), at)
    return None


def _made_production(services: Services, intent: Intent) -> str | None:
    """The version that this write would make Production, by what the policy holds for the truth."""
    rule = services.policy.production
    if rule.stage:
        return intent.subject if (intent.facet, intent.value) == ("stage", rule.stage) else None
    return intent.value if intent.facet == f"alias:{rule.alias}" else None
