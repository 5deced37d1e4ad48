"""The wait for what a version lacks, as its people read it, and for the end of a pause."""

from datetime import datetime, timedelta

from steward.policy import Mode
from steward.ports import Services, Wait

CHECK_SECONDS = 15.0
PAUSED_FOR = timedelta(days=30)
PAUSED_CHECK_SECONDS = 3600.0
"""Whoever resumes wakes what waits: this is for what nobody resumed."""


def wait_for(
    what: str, deadline: datetime, services: Services, *, check_seconds: float = CHECK_SECONDS
) -> Wait:
    """Until the deadline; the version says so meanwhile, unless the policy only observes."""
    reason = f"waiting for {what} until {deadline:%H:%M} UTC"
    then = () if services.mode == Mode.OBSERVE else ("annotate",)
    return Wait(deadline, reason, check_seconds=check_seconds, then=then)


def until_resumed(paused: str, services: Services, *, then: tuple[str, ...] = ()) -> Wait:
    """For people to let automation go on; ``paused`` says who stopped it, and why."""
    until = services.clock.now() + PAUSED_FOR
    return Wait(until, paused, check_seconds=PAUSED_CHECK_SECONDS, then=then, is_pause=True)
