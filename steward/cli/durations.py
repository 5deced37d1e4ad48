"""Durations and points in time as options of the command line: what is wrong is a usage error."""

from datetime import UTC, datetime, timedelta

import typer

from steward.moments import duration_of, moment_of


def duration(text: str | timedelta) -> timedelta:
    """A duration. Parses an option's value: raises BadParameter, a usage error."""
    if isinstance(text, timedelta):  # an option's default takes this way too
        return text
    try:
        return duration_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def moment(text: str) -> datetime:
    """A point in time: how long ago (2h), or ISO 8601 (UTC unless it says otherwise)."""
    try:
        return moment_of(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
