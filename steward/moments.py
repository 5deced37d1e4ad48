"""Durations (90s, 15m, 2h, 1d, 1w) and points in time as people write them; pure.

The command line and the operators' API read them alike.
"""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smhdw])(?P<ago>\s+ago)?")
LONGEST = timedelta(days=36_500)


def duration_of(text: str) -> timedelta:
    """A duration. ValueError, a sentence, for what is none."""
    match = _DURATION.fullmatch(text.strip().lower())
    is_plain = match is not None and not match["ago"]
    length = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match and is_plain else LONGEST
    if length >= LONGEST:
        raise ValueError(f"{text!r} is no duration; write 90s, 15m, 2h or 1d.")
    return length


def moment_of(text: str, now: datetime) -> datetime:
    """A point in time, aware, UTC: how long ago (2h, 2d ago), or ISO 8601 (UTC unless it says).

    Raises:
        ValueError: a sentence that says what was expected.

    """
    text = text.strip()
    match = _DURATION.fullmatch(text.lower())
    if match:
        return now - duration_of(match[1] + match[2])
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text[:100]!r} is no time; write how long ago (90s, 15m, 2h, 1d) or ISO 8601 "
            "(2026-07-01 or 2026-07-01T14:30:00Z)."
        ) from error
