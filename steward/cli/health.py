"""``steward health``: whether every part of this installation is well."""

import typer

from steward.cli import options, tables
from steward.cli.api_client import connect


def health(ctx: typer.Context, *, as_json: options.Json = False) -> None:
    """Show every dependency, the sweep and what has waited longest.

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
        if found["dead"]:
            typer.echo("What died: steward events list --status dead")
    if found["status"] != "ok":
        raise typer.Exit(1)
