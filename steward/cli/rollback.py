"""``steward rollback``: ask for an earlier Production, and wait until replicas serve it."""

from datetime import timedelta
from typing import Annotated

import typer

from steward.cli import following, options
from steward.cli.api_client import connect, path_of
from steward.cli.following import Answer, Family, dispatches, served
from steward.events import Event, direction


def rollback(
    ctx: typer.Context,
    model: options.Model,
    version: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="One that was Production. Default: the last good."),
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is written down and told.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the outcome.")] = True,
    timeout: Annotated[timedelta, options.timeout("5m")] = timedelta(minutes=5),
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Go back to an earlier Production. The version that is left is not promoted again by itself.

    Exit code: 0 rolled back and served, 1 refused or failed, 3 not in time.
    """
    place = {"registry": registry, "workspace": workspace}
    body, path = {"version": version, "reason": reason}, path_of("models", model, "rollback")
    with connect(ctx.obj) as api:
        event_id = following.ask(api, path, body, model=model, version=version, place=place)
        answer = following.follow(api, event_id, timeout, outcome_of) if wait else None
    following.tell(event_id, version, answer, as_json=as_json)


def outcome_of(family: Family) -> Answer:
    """What a rollback came to, as far as its events tell."""
    events = {each["event"]["type"]: Event.from_cloudevent(each["event"]) for each in family}
    request = events["rollback.requested"]
    done = events.get("model_version.rolled_back")
    if done is None:
        return _not_rolled_back(family[:1], str(request.model))
    way = direction(done.before, done.after)
    told = f"{done.model}: Production went {way} from version {done.before} to {done.after}."
    passed = [f"{reason[0].upper()}{reason[1:]}." for reason in done.data.get("reasons", [])[1:]]
    return served(family, events, (told, *passed), done.after)


def _not_rolled_back(requested: Family, model: str) -> Answer:
    for dispatch in dispatches(requested, "rollback"):
        note = str(dispatch["note"]).rstrip(".")
        if dispatch["state"] == "skipped":
            return Answer(is_good=False, lines=(f"{model} was not rolled back: {note}.",))
        if dispatch["state"] == "dead":
            return Answer(is_good=False, lines=(f"The rollback of {model} failed: {note}.",))
        if dispatch["state"] == "pending" and note != "new":
            return Answer(None, (f"Asked for, and put off: {note}.",))
    return Answer(None, (f"Asked for {model}; a worker takes it up.",))
