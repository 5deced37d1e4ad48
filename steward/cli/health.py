"""``steward health``: whether every part of this installation is well."""

from typing import Any

import typer

from steward.cli import options, tables
from steward.cli.api_client import connect
from steward.cli.pauses import pause_told


def health(ctx: typer.Context, *, as_json: options.Json = False) -> None:
    """Show every dependency, every process that lives, and what has waited longest.

    Exit code: 0 all is well, 1 something is late, away or dead, 4 the receiver is not reached.
    """
    with connect(ctx.obj) as api:
        found = api.get("/health")
        url = api.target.url
    if as_json:
        tables.as_json(found)
    else:
        typer.echo(f"Steward at {url}: {found['status']}")
        tables.table(
            ("part", "status", "detail"),
            [
                (name, part["status"], part["detail"])
                for name, part in found["dependencies"].items()
            ],
        )
        told = [f"{found[name]} {name}" for name in ("pending", "running", "dead")]
        oldest = found["oldest_unfinished_seconds"]
        since = f"; the oldest unfinished is {oldest:.0f} s old" if oldest is not None else ""
        typer.echo(f"Dispatches: {', '.join(told)}{since}.")
        typer.echo(
            f"Since ever: {_count(found['redelivered_hints'], 'hint')} sent again, "
            f"{_count(found['expired_leases'], 'lease')} expired, "
            f"{_count(found['seen_by_poll_alone'], 'event')} seen by the poll alone."
        )
        for pause in found["paused"] or ():
            tables.say(f"Paused: {pause_told(pause)}.")
        if found["processes"]:
            columns = ("process", "role", "queue", "last sign", "canary", "clock")
            tables.table(columns, [_process(each) for each in found["processes"]])
        if found["dead"]:
            typer.echo("What died: steward events list --status dead")
    if found["status"] != "ok":
        raise typer.Exit(1)


def _process(found: dict[str, Any]) -> tuple[str, ...]:
    """A row; ``clock`` is how far it is ahead of the database's (behind: below 0)."""
    canary, skew = found["canary_seconds"], found["clock_skew_seconds"]
    return (
        found["name"],
        found["role"],
        found["queue"] or "-",
        f"{found['last_sign_seconds']:.0f} s ago",
        "-" if canary is None else f"{canary:.0f} s ago",
        "-" if skew is None else f"{skew:+.1f} s",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
