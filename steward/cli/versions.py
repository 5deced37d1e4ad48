"""``steward models versions``: a model's versions by metric, tag and verdict."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from handlers.approval_tags import DETAILS
from handlers.wording import number
from steward.cli import options, tables
from steward.cli.api_client import Api, connect
from steward.cli.lookup import PAGE, get_model

SHOWN_METRICS = 4


def versions(
    ctx: typer.Context,
    model: options.Model,
    *,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="'auc>=0.9'; repeat it: all must hold."),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="team=risk, team!=risk or team; repeat it."),
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(help="waiting, held, rejected, promoted, rolled_back ...; none: not judged."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where a list before ended.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """List a model's versions, newest first; exit code 1 when none matches."""
    params: dict[str, Any] = {
        "registry": registry,
        "workspace": workspace,
        "metric": metric,
        "tag": tag,
        "verdict": verdict,
    }
    with connect(ctx.obj) as api:
        items, following = _pages(api, model, params, cursor, None if all_ else limit)
    if as_json:
        tables.as_json({"items": items, "next_cursor": following})
    else:
        _print(items)
        if following:
            typer.echo(f"There are more: --all, or --cursor {following}", err=True)
    if not items:
        raise typer.Exit(1)


def _pages(
    api: Api, model: str, params: Mapping[str, Any], cursor: str | None, limit: int | None
) -> tuple[list[dict[str, Any]], str | None]:
    items: list[dict[str, Any]] = []
    while True:
        wanted = PAGE if limit is None else min(limit - len(items), PAGE)
        asked = {**params, "cursor": cursor, "limit": wanted}
        page = get_model(api, model, "versions", params=asked)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or (limit is not None and len(items) >= limit):
            return items, cursor


def _print(items: list[dict[str, Any]]) -> None:
    if not items:
        typer.echo("No version matches.")
        return
    tables.table(
        ("version", "stage", "aliases", "verdict", "metrics", "tags"),
        [
            (
                item["version"],
                item["stage"],
                ", ".join(item["aliases"]),
                (item["verdict"] or {"verdict": "never judged"})["verdict"],
                _metrics(item),
                ", ".join(
                    f"{key}={value}"
                    for key, value in item["tags"].items()
                    if not key.startswith("steward.") and key not in DETAILS
                ),
            )
            for item in items
        ],
    )


def _metrics(item: dict[str, Any]) -> str:
    """As logged, and beside it what Steward measured of it on the policy's holdout."""
    known, own = item["metrics"] or item["found"], item.get("measured") or {}
    return ", ".join(
        f"{key}={value}" + (f" (measured {number(own[key])})" if key in own else "")
        for key, value in list(known.items())[:SHOWN_METRICS]
    )
