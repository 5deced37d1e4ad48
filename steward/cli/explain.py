"""``steward explain``: why a version is where it is, from registration to what replicas serve."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from handlers.messages import compose
from handlers.telling import Message
from handlers.wording import Links
from steward.cli import options, tables
from steward.cli.api_client import Api, Document, connect, path_of
from steward.cli.durations import moment
from steward.cli.governing import policy_told, reloads_nothing, replicas_follow
from steward.cli.lookup import get_model
from steward.cli.pauses import paused_told
from steward.cli.replicas import print_replicas
from steward.cli.sections import print_sections, print_then
from steward.cli.timeline import attempt_told, dispatch_name
from steward.events import Event

OVER = ("succeeded", "skipped")
OWN_TAG = "tag:steward."


def explain(
    ctx: typer.Context,
    model: options.Model,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: what is in Production.")
    ] = None,
    *,
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=moment, metavar="TIME", help="As it was: 2h, 2d ago, or ISO 8601 (UTC)."
        ),
    ] = None,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Tell why a version is in Production, or is not: the chain of what happened, with numbers."""
    place = {"registry": registry, "workspace": workspace}
    params = {**place, "version": version, "at": at.isoformat() if at else None}
    with connect(ctx.obj) as api:
        found = get_model(api, model, "explain", params=params, version=version)
        account = None if found["then"] else _account(api, found)
    if as_json:
        tables.as_json(found)
        return
    if found["then"]:
        print_then(found)
    else:
        _print_standing(found, account)
    print_sections(found["sections"])
    tables.heading("What happened" + (" until then" if found["then"] else ""))
    tables.timeline(line for step in found["steps"] if _is_told(step) for line in _lines(step))
    if not found["steps"]:
        tables.say("Nothing that the journal knows of.", indent="  ")
    if not found["then"]:
        _print_present(found, account)


def _print_present(found: Document, account: Message | None) -> None:
    now = found["now"]
    tables.heading(f"Replicas ({replicas_follow(now['desired'], now['production'])})")
    print_replicas(now["replicas"])
    if note := reloads_nothing(now["policy"], now["desired"]):
        tables.say(note)
    tables.heading("What to do")
    for line in _next(found, account):
        tables.say(line, indent="  ")


def _account(api: Api, found: Document) -> Message | None:
    """The standing verdict as people are told it, with its numbers; None while there is none."""
    verdict = found["now"]["verdict"]
    if not verdict or not verdict["event_id"] or verdict["verdict"] == "waiting":
        return None
    document = api.get(path_of("events", verdict["event_id"]))["event"]
    return compose(Event.from_cloudevent(document), (), Links())


def _print_standing(found: Document, account: Message | None) -> None:
    now = found["now"]
    verdict = now["verdict"] or {"verdict": "never judged by Steward", "reasons": [], "at": None}
    production = f"version {now['production']}" if now["production"] else "empty"
    where = "in Production" if now["is_production"] else f"not Production, which is {production}"
    if crowd := now.get("several_in_production"):
        among = "one of those" if found["version"] in crowd else "not one of those"
        where = f"{among} that are in Production together: {' and '.join(crowd)}; only one can be"
    typer.secho(f"{tables.clean(found['model'])} version {found['version']} is {where}.", bold=True)
    at = f", {tables.when(verdict['at'])}" if verdict["at"] else ""
    by = f", by {verdict['policy']}" if verdict.get("policy") else ""
    tables.facts(
        [
            ("Verdict", f"{verdict['verdict']}{at}{by}"),
            *[("Because", reason) for reason in verdict["reasons"]],
            *(account.facts if account else ()),
            ("Paused", paused_told(now["paused"])),
            ("Policy", policy_told(now["policy"])),
        ]
    )


def _lines(step: Document) -> Iterator[tuple[str | None, str]]:
    """An event, who handled it, and what that changed in the registry or sent."""
    yield step["time"], step["sentence"]
    for dispatch in step["dispatches"]:
        last = dispatch["attempts"][-1] if dispatch["attempts"] else None
        told = attempt_told(dispatch, last) if last else dispatch_name(dispatch)
        is_over = dispatch["state"] in OVER
        yield None, told if is_over else f"{told} [{dispatch['state']}: {dispatch['note']}]"
        for effect in dispatch["effects"]:
            if effect["what"].startswith(OWN_TAG):
                continue
            value = "" if effect["value"] is None else f": {tables.clean(effect['value'])}"
            state = "" if effect["state"] == "done" else f" ({effect['state']})"
            yield None, f"  {effect['what']}{value}{state}"


def _is_told(step: Document) -> bool:
    """Steward's own tags repeat the verdict; all else is told."""
    return not (step["type"].startswith("model_version_tag.") and step["seen_by"] == "self")


def _next(found: Document, account: Message | None) -> list[str]:
    """What an operator could do now; what is wrong comes first."""
    now, model = found["now"], tables.quoted(found["model"])
    lines = [
        f"{dispatch_name(dispatch)} died. When the cause is gone: "
        f"steward events replay {step['event_id']}"
        for step in found["steps"]
        for dispatch in step["dispatches"]
        if dispatch["state"] == "dead"
    ]
    if crowd := now.get("several_in_production"):
        lines.append(f"Leave one of {' and '.join(crowd)} in Production, in MLflow's pages.")
    behind = [each for each in now["replicas"] if each["is_live"] and not each["is_current"]]
    if now["is_production"] and behind:
        ids = ", ".join(each["id"] for each in behind)
        is_told = now["desired"] or now["policy"]["mode"] == "act"
        lines.append(
            f"Not every replica follows; look at the log of {ids}."
            if is_told
            else f"Not every replica serves it; they load it when they start again: {ids}."
        )
    lines += now.get("next", ())
    if now["verdict"] and now["verdict"]["verdict"] == "waiting":
        lines.append(f"Wait: steward wait {model} {found['version']}")
    lines += account.next_steps if account else ()
    return lines or ["Nothing."]
