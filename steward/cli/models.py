"""``steward models list | show``: what is in Production, and where the latest versions stand."""

from typing import Annotated, Any

import typer

from steward.cli import options, tables
from steward.cli.api_client import connect
from steward.cli.governing import policy_told, reloads_nothing, replicas_follow
from steward.cli.lookup import PAGE, get_model
from steward.cli.pauses import paused_told
from steward.cli.replicas import print_replicas
from steward.cli.versions import versions

app = typer.Typer(help="Models, their Production and their verdicts.", no_args_is_help=True)
app.command()(versions)


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
                production_told(item),
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
    desired = found["desired"]
    tables.facts(
        [
            ("Production", production_told(found, prefix="version ") or "none"),
            ("previously", ", ".join(found["past_production"][1:6])),
            ("aliases", _aliases(found["aliases"])),
            ("description", found["description"]),
            ("tags", found["tags"]),
            ("deleted", tables.when(found["deleted_at"]) if found["deleted_at"] else None),
            ("automation", f"paused {told}" if (told := paused_told(found["paused"])) else "runs"),
            ("policy", policy_told(found["policy"])),
        ]
    )
    tables.heading(f"Versions ({found['version_count']})")
    for each in found["versions"]:
        verdict = each["verdict"] or {"verdict": "never judged", "reasons": []}
        at = [] if each["stage"] == "None" else [f"stage {each['stage']}"]
        at += [f"alias {alias}" for alias in each["aliases"]]
        where = f" ({', '.join(at)})" if at else ""
        reasons = "; ".join(verdict["reasons"])
        by = f" [by {verdict['policy']}]" if verdict.get("policy") else ""
        told = f"{verdict['verdict']}{where}" + (f": {reasons}" if reasons else "") + by
        tables.say(told, indent=f"  {each['version']:>4}  ")
    tables.heading(f"Replicas ({replicas_follow(desired, found['production'])})")
    print_replicas(found["replicas"])
    if note := reloads_nothing(found["policy"], desired):
        tables.say(note)
    typer.echo(f"\nWhy: steward explain {tables.quoted(found['name'])}")


def production_told(found: dict[str, Any], prefix: str = "") -> str | None:
    """The version, or that there are several where only one can be."""
    if crowd := found.get("several_in_production"):
        count = {2: "two", 3: "three"}.get(len(crowd), len(crowd))
        return f"{count} in Production: {' and '.join(crowd)}"
    return f"{prefix}{found['production']}" if found["production"] else None


def _aliases(aliases: dict[str, Any]) -> str:
    return ", ".join(f"{alias} → {version}" for alias, version in aliases.items())
