"""The options that choose events, shared by ``events list`` and ``events replay``."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from steward.cli.durations import moment


class Status(StrEnum):
    """Where an event's dispatches stand."""

    OPEN = "open"
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


class SeenBy(StrEnum):
    """How a change was seen."""

    WEBHOOK = "webhook"
    POLL = "poll"
    BOTH = "both"
    SELF = "self"


Type = Annotated[str | None, typer.Option("--type", help="Event type; * stands for anything.")]
Model = Annotated[str | None, typer.Option(help="Name of the model; * stands for anything.")]
Version = Annotated[str | None, typer.Option(help="Version of the model.")]
StatusOption = Annotated[Status | None, typer.Option(help="Where its handling stands.")]
Source = Annotated[str | None, typer.Option(help="Where it came from; * stands for anything.")]
SeenByOption = Annotated[SeenBy | None, typer.Option("--seen-by", help="How it was seen.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Not before: 2h (ago), or ISO 8601 in UTC."),
]
Until = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Before: 2h (ago), or ISO 8601 in UTC."),
]
Text = Annotated[str | None, typer.Option("--q", help="A text in the event.")]


def chosen(**options: Any) -> dict[str, str]:
    """The filter as the API takes it: what was asked for, and nothing else."""
    told: dict[str, str] = {}
    for name, value in options.items():
        if value is not None:
            told[name] = value.isoformat() if isinstance(value, datetime) else str(value)
    return told
