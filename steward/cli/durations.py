"""Durations (90s, 15m, 2h, 1d) and points in time, as people write them on the command line."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smhdw])")
LONGEST = timedelta(days=36_500)


def duration(text: str | timedelta) -> timedelta:
    """A duration. Parses an option's value: raises BadParameter, a usage error."""
    if isinstance(text, timedelta):  # an option's default takes this way too
        return text
    match = _DURATION.fullmatch(text.strip().lower())
    length = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else LONGEST
    if length >= LONGEST:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 15m, 2h or 1d.")
    return length


def moment(text: str) -> datetime:
    """A point in time: how long ago (2h), or ISO 8601 (UTC unless it says otherwise)."""
    text = text.strip()
    if _DURATION.fullmatch(text.lower()):
        return datetime.now(UTC) - duration(text)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no time; write how long ago (90s, 15m, 2h, 1d) or ISO 8601 "
            "(2026-07-01 or 2026-07-01T14:30:00Z)."
        ) from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
