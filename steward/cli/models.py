"""``steward models list | show``: what is in Production, and where the latest versions stand."""

from typing import Annotated, Any

import typer

from steward.cli import options, tables
from steward.cli.api_client import connect
from steward.cli.lookup import PAGE, get_model
from steward.cli.replicas import print_replicas

app = typer.Typer(help="Models, their Production and their verdicts.", no_args_is_help=True)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    q: Annotated[str | None, typer.Option("--q", help="Part of the name.")] = None,
    as_json: options.Json = False,
) -> None:
    """List the models that Steward knows."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    with connect(ctx.obj) as api:
        while not items or cursor:
            page = api.get("/models", {"q": q, "cursor": cursor, "limit": PAGE})
            items += page["items"]
            cursor = page["next_cursor"]
            if not page["items"]:
                break
    if as_json:
        tables.as_json({"items": items, "next_cursor": None})
        return
    if not items:
        typer.echo("No model matches." if q else "No model is known yet.")
        return
    tables.table(
        ("model", "Production", "versions", "aliases", "automation"),
        [
            (
                item["name"],
                item["production"],
                item["versions"],
                _aliases(item["aliases"]),
                "paused" if item["paused"] else "runs",
            )
            for item in items
        ],
    )


@app.command()
def show(
    ctx: typer.Context,
    model: options.Model,
    *,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Show one model: Production, the verdict of each version, replicas, pause."""
    place = {"registry": registry, "workspace": workspace}
    with connect(ctx.obj) as api:
        found = get_model(api, model, params=place)
    if as_json:
        tables.as_json(found)
        return
    _print_model(found)


def _print_model(found: dict[str, Any]) -> None:
    typer.secho(tables.clean(found["name"]), bold=True)
    paused, desired, decisions = found["paused"], found["desired"], found["decisions"]
    tables.facts(
        [
            ("Production", f"version {found['production']}" if found["production"] else "none"),
            ("previously", ", ".join(found["past_production"][1:6])),
            ("aliases", _aliases(found["aliases"])),
            ("description", found["description"]),
            ("tags", found["tags"]),
            ("deleted", tables.when(found["deleted_at"]) if found["deleted_at"] else None),
            ("automation", f"paused by {paused['by']}: {paused['reason']}" if paused else "runs"),
            ("policy", decisions[0]["data"].get("policy") if decisions else "has decided nothing"),
        ]
    )
    tables.heading(f"Versions ({found['version_count']})")
    for each in found["versions"]:
        verdict = each["verdict"] or {"verdict": "never judged", "reasons": []}
        at = [] if each["stage"] == "None" else [f"stage {each['stage']}"]
        at += [f"alias {alias}" for alias in each["aliases"]]
        where = f" ({', '.join(at)})" if at else ""
        reasons = "; ".join(verdict["reasons"])
        told = f"{verdict['verdict']}{where}" + (f": {reasons}" if reasons else "")
        tables.say(told, indent=f"  {each['version']:>4}  ")
    wants = f"should serve version {desired['version']}" if desired else "nothing to serve yet"
    tables.heading(f"Replicas ({wants})")
    print_replicas(found["replicas"])
    typer.echo(f"\nWhy: steward explain {tables.quoted(found['name'])}")


def _aliases(aliases: dict[str, Any]) -> str:
    return ", ".join(f"{alias} → {version}" for alias, version in aliases.items())
