"""``steward replicas`` and ``steward health``: what serves what, and whether Steward is well."""

from typing import Annotated, Any

import typer

from steward.cli import options, tables
from steward.cli.api_client import connect
from steward.cli.lookup import require_model


def replicas(
    ctx: typer.Context,
    *,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    as_json: options.Json = False,
) -> None:
    """List replicas: what each should serve, what it serves, when it was last heard of."""
    with connect(ctx.obj) as api:
        found = api.get("/replicas", {"model": model})
        if model and not found["items"]:
            require_model(api, model)
    if as_json:
        tables.as_json(found)
        return
    print_replicas(found["items"])


def print_replicas(items: list[dict[str, Any]]) -> None:
    """A table of replicas; ``models show`` has it too."""
    if not items:
        typer.echo("No replica. Start one with: steward replica --model MODEL")
        return
    tables.table(
        ("replica", "model", "should", "serves", "generation", "state", "heard of"),
        [
            (
                item["id"],
                item["model"],
                item["desired"]["version"] if item["desired"] else None,
                item["version"],
                item["generation"],
                item["state"] if item["is_live"] else "gone",
                tables.ago(item["seen_at"]),
            )
            for item in items
        ],
    )
    for item in items:
        if item["last_error"]:
            tables.say(item["last_error"], indent=f"{item['id']}: ")
