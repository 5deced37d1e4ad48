"""Whether and when a failed dispatch is tried again: data, and one pure function that reads it."""

from dataclasses import dataclass

from steward.errors import PermanentError, TransientError

SCHEDULE_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0)
"""How long to wait after the first, second ... failure; the one after the last is the end."""
JITTER = 0.2
"""Each wait is varied by up to this share, so that many failures do not return at once."""
UNEXPECTED_ALLOWED = 3
"""A bug does not go away by waiting: this many failures, then it is dead and people are told."""
LONGEST_ASKED_SECONDS = 3600.0
"""The longest wait that another system may ask for (Retry-After)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``retry_in_seconds`` None means dead."""

    retry_in_seconds: float | None


def after(error: BaseException, *, failures: int, random: float) -> Decision:
    """What follows the ``failures``-th failure (1 is the first); ``random`` is in [0, 1)."""
    if isinstance(error, PermanentError):
        return Decision(None)
    is_expected = isinstance(error, TransientError)
    allowed = len(SCHEDULE_SECONDS) + 1 if is_expected else UNEXPECTED_ALLOWED
    if failures >= allowed:
        return Decision(None)
    delay = SCHEDULE_SECONDS[failures - 1] * (1 + JITTER * (2 * random - 1))
    asked = error.retry_after_seconds if isinstance(error, TransientError) else None
    return Decision(max(delay, min(asked or 0.0, LONGEST_ASKED_SECONDS)))
