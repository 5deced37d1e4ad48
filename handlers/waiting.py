"""The wait for what a version lacks, as its people read it."""

from datetime import datetime

from steward.policy import Mode
from steward.ports import Services, Wait

CHECK_SECONDS = 15.0


def wait_for(
    what: str, deadline: datetime, services: Services, *, check_seconds: float = CHECK_SECONDS
) -> Wait:
    """Until the deadline; the version says so meanwhile, unless the policy only observes."""
    reason = f"waiting for {what} until {deadline:%H:%M} UTC"
    then = () if services.mode == Mode.OBSERVE else ("annotate",)
    return Wait(deadline, reason, check_seconds=check_seconds, then=then)
