"""``steward lineage`` and ``steward compare``: where versions came from, and how they differ."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from steward.cli import options, tables
from steward.cli.api_client import Api, Document, connect, path_of
from steward.cli.lookup import get_model, missing
from steward.errors import NotFoundError

TITLES = {
    "params": "Parameters",
    "metrics": "Metrics",
    "tags": "Tags",
    "data": "Data",
    "code": "Code",
    "environment": "Environment",
}


def lineage(
    ctx: typer.Context,
    model: options.Model,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: what is in Production.")
    ] = None,
    *,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Tell where a version came from: code, data, parameters, environment, run."""
    params = {"registry": registry, "workspace": workspace}
    with connect(ctx.obj) as api:
        if version is None:
            known = get_model(api, model, params=params)
            newest = known["versions"][0]["version"] if known["versions"] else None
            version = known["production"] or newest or ""
        parts = ("versions", version, "lineage")
        found = get_model(api, model, *parts, params=params, version=version)
    if as_json:
        tables.as_json(found)
        return
    _print_lineage(found)


def compare(
    ctx: typer.Context,
    model: options.Model,
    first: Annotated[str, typer.Argument(metavar="V1", help="A version.")],
    second: Annotated[str, typer.Argument(metavar="V2", help="Another one.")],
    *,
    is_short: Annotated[
        bool, typer.Option("--only-differences", help="Leave out what is the same.")
    ] = False,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Put two versions side by side; what differs is marked with *."""
    params = {"registry": registry, "workspace": workspace, "versions": f"{first},{second}"}
    with connect(ctx.obj) as api:
        try:
            found = api.get(path_of("models", model, "compare"), params)
        except NotFoundError as error:
            raise NotFoundError(_which_is_missing(api, model, (first, second), params)) from error
    if as_json:
        tables.as_json(found)
        return
    _print_comparison(found, is_short=is_short)


def _which_is_missing(
    api: Api, model: str, versions: tuple[str, str], params: dict[str, Any]
) -> str:
    """Names the first of the two that is not known; a model that is not known has neither."""
    place = {key: value for key, value in params.items() if key != "versions"}
    for version in versions:
        try:
            api.get(path_of("models", model, "versions", version), place)
        except NotFoundError:
            return missing(api, model, version, place)
    return missing(api, model, " or ".join(versions), place)


def _print_lineage(found: Document) -> None:
    typer.secho(f"{tables.clean(found['model'])} version {found['version']}", bold=True)
    if found["note"]:
        tables.say(found["note"], indent="  ")
    run = found["run"]
    tables.facts(
        [
            ("recorded", tables.when(found["recorded_at"]) if found["recorded_at"] else None),
            ("copied from", found["copied_from"]),
            ("run", run.get("run_id")),
            ("parent run", run.get("parent_run")),
            ("logged model", run.get("model_id")),
        ]
    )
    metrics = [
        (name, _metric(row, logged_as=row.get("name"))) for name, row in found["metrics"].items()
    ]
    metrics += [(row["name"], _metric(row)) for row in found["found"] if not row.get("used_as")]
    _group("params", found["params"].items())
    _group("metrics", metrics)
    _group("tags", found["tags"].items())
    _group("data", _data(found["data"]))
    _group("code", found["code"].items())
    _group("environment", found["environment"].items(), none=found.get("environment_note"))
    for part, more in found["cut"].items():
        tables.say(f"{more} more {part} were too many to keep.")
    if found["found_more"]:
        tables.say(f"{found['found_more']} more metrics were too many to keep.")


def _group(name: str, pairs: Iterable[tuple[str, Any]], *, none: str | None = None) -> None:
    tables.heading(TITLES[name])
    listed = list(pairs)
    if listed:
        tables.facts((key, "(empty)" if value == "" else value) for key, value in listed)
    else:
        tables.say(none or "none recorded", indent="  ")


def _metric(row: Document, logged_as: str | None = None) -> str:
    told = "not a number" if row.get("value") is None else str(row["value"])
    told += f" (logged as {logged_as})" if logged_as else ""
    digest = f"@{row['digest']}" if row.get("digest") else ""
    return told + (f" on {row['dataset']}{digest}" if row.get("dataset") else "")


def _data(data: Document) -> Iterable[tuple[str, str]]:
    for row in data["inputs"]:
        context = f" ({row['context']})" if row.get("context") else ""
        kind = f", from {row['source_type']}" if row.get("source_type") else ""
        yield f"{row['name']}{context}", f"{row.get('digest') or 'no digest'}{kind}"
    for key, value in data["tags"].items():
        yield f"tag {key}", value


def _print_comparison(found: Document, *, is_short: bool) -> None:
    versions = [_heading(each) for each in found["versions"]]
    typer.secho(f"{tables.clean(found['model'])}: {' and '.join(versions)}", bold=True)
    for each in found["versions"]:
        if each["note"]:
            tables.say(f"Version {each['version']}: {each['note']}")
        if each.get("environment_note"):
            tables.say(f"Version {each['version']}: environment {each['environment_note']}.")
    differing = 0
    for group, rows in found["groups"].items():
        shown = [row for row in rows if row["differs"] or not is_short]
        differing += sum(row["differs"] for row in rows)
        if not shown:
            continue
        tables.heading(TITLES.get(group, group))
        tables.table(
            ("", "", *versions),
            [("*" if row["differs"] else "", row["key"], *row["values"]) for row in shown],
        )
    typer.echo(f"\n{differing} of {sum(map(len, found['groups'].values()))} differ (*).")


def _heading(each: Document) -> str:
    verdict = "Production" if each["is_production"] else (each["verdict"] or {}).get("verdict")
    return f"version {each['version']}" + (f" ({verdict})" if verdict else "")
