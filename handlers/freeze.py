"""Whether the policy's freeze keeps a promotion waiting; ``promote`` asks before it acts."""

from handlers.rulings import Decision
from steward.events import Event
from steward.policy.lifecycle import frozen_until
from steward.ports import Services, Wait

CHECK_SECONDS = 900.0
BY_A_PERSON = "promotion.requested"


def frozen(event: Event, services: Services, decision: Decision) -> Wait | None:
    """The wait until the freeze is over; None when there is none, or a person asked for it.

    The decision is made again then: Production and the policy may be others by that time.
    """
    until = frozen_until(services.policy.freeze, services.clock.now())
    if until is None:
        return None
    if any(cause.type == BY_A_PERSON for cause in services.history.chain(event.id)):
        return None
    would = f"would be promoted: {decision.reasons[0]}"
    reason = f"frozen until {until:%Y-%m-%d %H:%M} UTC; {would}"
    return Wait(until, reason, check_seconds=CHECK_SECONDS, then=("annotate",))
