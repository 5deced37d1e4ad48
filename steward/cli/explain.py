"""``steward explain``: why a version is where it is, from registration to what replicas serve."""

from typing import Annotated, Any

import typer

from handlers.wording import Decision
from steward.cli import options, tables
from steward.cli.api_client import Api, connect, path_of
from steward.cli.lookup import get_model
from steward.cli.replicas import print_replicas
from steward.cli.timeline import attempt_told, dispatch_name

UNREMARKABLE = ("succeeded", "skipped")


def explain(
    ctx: typer.Context,
    model: options.Model,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Default: what is in Production.")
    ] = None,
    *,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="As it was at a time; not available yet.")
    ] = None,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Tell why a version is in Production, or is not: the chain of what happened, with numbers."""
    if at is not None:
        raise typer.BadParameter(
            "explaining the past is not available in this version; leave --at out to see the "
            "whole chain, with times."
        )
    place = {"registry": registry, "workspace": workspace}
    params = {**place, "version": version}
    with connect(ctx.obj) as api:
        found = get_model(api, model, "explain", params=params, version=version)
        decided_by = _decision(api, found)
    if as_json:
        tables.as_json(found)
        return
    _print_standing(found, decided_by)
    tables.heading("What happened (UTC)")
    for step in found["steps"]:
        _print_step(step)
    desired = found["now"]["desired"]
    wants = f", which should serve version {desired['version']}" if desired else ""
    tables.heading(f"Replicas{wants}")
    print_replicas(found["now"]["replicas"])
    tables.heading("What to do")
    for line in _next(found, decided_by):
        tables.say(line, indent="  ")


def _decision(api: Api, found: dict[str, Any]) -> Decision | None:
    """The numbers of the standing verdict; None while there is none."""
    verdict = found["now"]["verdict"]
    if not verdict or not verdict["event_id"] or verdict["verdict"] == "waiting":
        return None
    return Decision.read(api.get(path_of("events", verdict["event_id"]))["event"]["data"])


def _print_standing(found: dict[str, Any], decided_by: Decision | None) -> None:
    now = found["now"]
    verdict = now["verdict"] or {"verdict": "never judged by Steward", "reasons": [], "at": None}
    is_production = f"; Production is version {now['production'] or '(none)'}"
    where = "in Production" if now["is_production"] else f"not in Production{is_production}"
    typer.secho(f"{tables.clean(found['model'])} version {found['version']} is {where}.", bold=True)
    at = f" ({tables.when(verdict['at'])})" if verdict["at"] else ""
    tables.facts(
        [
            ("verdict", f"{verdict['verdict']}{at}"),
            *[("because", reason) for reason in verdict["reasons"]],
            *(decided_by.facts if decided_by else ()),
            ("decided by", decided_by.signature if decided_by else None),
        ]
    )


def _print_step(step: dict[str, Any]) -> None:
    indent = f"  {tables.when(step['time'], seconds=True)}  "
    tables.say(step["sentence"], indent=indent)
    for dispatch in step["dispatches"]:
        last = dispatch["attempts"][-1] if dispatch["attempts"] else None
        told = attempt_told(dispatch, last) if last else dispatch_name(dispatch)
        if dispatch["state"] not in UNREMARKABLE:
            told += f" [{dispatch['state']}: {dispatch['note']}]"
        tables.say(told, indent=f"{' ' * len(indent)}  ")
        for effect in dispatch["effects"]:
            value = "" if effect["value"] is None else f": {tables.clean(effect['value'])}"
            state = "" if effect["state"] == "done" else f" ({effect['state']})"
            tables.say(f"{effect['what']}{value}{state}", indent=f"{' ' * len(indent)}    wrote ")


def _next(found: dict[str, Any], decided_by: Decision | None) -> list[str]:
    """What an operator could do now; what is wrong comes first."""
    now, model = found["now"], tables.quoted(found["model"])
    lines = [
        f"{dispatch_name(dispatch)} died. When the cause is gone: "
        f"steward events replay {step['event_id']}"
        for step in found["steps"]
        for dispatch in step["dispatches"]
        if dispatch["state"] == "dead"
    ]
    behind = [each for each in now["replicas"] if each["is_live"] and not each["is_current"]]
    if now["is_production"] and behind:
        ids = ", ".join(each["id"] for each in behind)
        lines.append(f"Not every replica follows; look at the log of {ids}.")
    if now["verdict"] and now["verdict"]["verdict"] == "waiting":
        lines.append(f"Wait: steward wait {model} {found['version']}")
    lines += decided_by.next_steps if decided_by else ()
    return lines or ["Nothing."]
