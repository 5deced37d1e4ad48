"""When a promotion may be made: the policy's section ``freeze``.

Read by ``handlers/freeze.py``, which waits, and by the summary of a policy.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from steward.policy.section import Section

LONGEST_HOURS = 744.0
LONGEST_FREEZE = timedelta(days=366)
MOST_WINDOWS = 400
"""Windows that are followed until one has an end: one a day for a year, and some."""
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def _cron(text: str) -> str:
    try:
        CronSim(text, _ANY_TIME)
    except CronSimError as error:
        raise ValueError(
            f"'{text}' is not a time as cron writes it (minute hour day month weekday): {error}"
        ) from error
    return text


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"'{name}' is no time zone, as in Europe/Berlin") from error
    return name


class Freeze(Section):
    """A window in which automation promotes nothing: it begins as ``cron`` says, in ``timezone``.

    ``hours`` is how long it lasts by the clock of the world: a change to summer time within it does
    not shorten it.
    """

    cron: Annotated[str, AfterValidator(_cron)]
    hours: Annotated[float, Field(gt=0, le=LONGEST_HOURS)]
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"

    def end_at(self, now: datetime) -> datetime | None:
        """When the window that is open now ends (UTC); None when none is. The end is outside."""
        local = now.astimezone(ZoneInfo(self.timezone)).replace(second=0, microsecond=0)
        begun = next(CronSim(self.cron, local + timedelta(minutes=1), reverse=True), None)
        if begun is None:
            return None
        end = begun.astimezone(UTC) + timedelta(hours=self.hours)
        return end if end > now else None


def frozen_until(windows: Sequence[Freeze], now: datetime) -> datetime | None:
    """When promotions may be made again (UTC), through windows that follow on one another.

    None when they may be made now. A freeze without an end is one until a year from now at most:
    who waits for it looks again then.
    """
    until, latest = now, now + LONGEST_FREEZE
    for _ in range(MOST_WINDOWS):
        ends = [end for window in windows if (end := window.end_at(until)) is not None]
        if not ends or until >= latest:
            break
        until = max(ends)
    return min(until, latest) if until > now else None


def endless_since(windows: Sequence[Freeze], now: datetime) -> datetime | None:
    """From when on (UTC) windows follow on one another without end; None where they do not.

    Looked for where each window is open now, or begins next.
    """
    for window in windows:
        local = now.astimezone(ZoneInfo(window.timezone))
        begins = next(CronSim(window.cron, local), None)
        for start in filter(None, (now, begins)):
            moment = start.astimezone(UTC)
            end = frozen_until(windows, moment)
            if end is not None and frozen_until(windows, end) is not None:
                return moment
    return None
