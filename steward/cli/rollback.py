"""``steward rollback``: ask for an earlier Production, and wait until replicas serve it."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer

from handlers.wording import Rollout
from steward.cli import options, tables
from steward.cli.api_client import Api, RefusedError, connect, path_of
from steward.cli.lookup import missing
from steward.errors import NotFoundError
from steward.events import Event

LOOK_EVERY_SECONDS = 0.5
ENDS = ("skipped", "dead")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a rollback; ``is_good`` is None while it is under way."""

    is_good: bool | None
    lines: tuple[str, ...]
    target: str | None = None


def rollback(
    ctx: typer.Context,
    model: options.Model,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: the last good one.")
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
    body = {"version": version, "reason": reason}
    with connect(ctx.obj) as api:
        try:
            event_id = api.post(path_of("models", model, "rollback"), body, place)["event_id"]
        except (NotFoundError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.code != "unknown_version":
                raise
            raise NotFoundError(missing(api, model, version, place)) from error
        if not wait:
            _tell_accepted(event_id, as_json=as_json)
            return
        outcome = _wait(api, event_id, timeout)
    if as_json:
        told = {"event_id": event_id, "is_good": outcome.is_good, "version": outcome.target}
        tables.as_json({**told, "reasons": list(outcome.lines)})
    else:
        for line in outcome.lines:
            tables.say(line)
    if outcome.is_good is None:
        typer.echo(f"That was not in time. To follow: steward events show {event_id}", err=True)
        raise typer.Exit(options.NOT_IN_TIME)
    if not outcome.is_good:
        typer.echo(f"More: steward events show {event_id}", err=True)
        raise typer.Exit(1)


def _tell_accepted(event_id: str, *, as_json: bool) -> None:
    if as_json:
        tables.as_json({"event_id": event_id})
    else:
        typer.echo(f"Asked for. To follow: steward events show {event_id}")


def _wait(api: Api, event_id: str, timeout: timedelta) -> Outcome:
    deadline, told = time.monotonic() + timeout.total_seconds(), ""
    while True:
        outcome = outcome_of(_family(api, event_id))
        if outcome.is_good is not None or time.monotonic() >= deadline:
            return outcome
        if outcome.lines[-1] != told:
            told = outcome.lines[-1]
            tables.say(told, err=True)
        time.sleep(LOOK_EVERY_SECONDS)


def _family(api: Api, event_id: str) -> list[dict[str, Any]]:
    """An event and all that came of it, in the order of their causes."""
    family: list[dict[str, Any]] = []
    edge = [event_id]
    while edge:
        found = [api.get(path_of("events", each)) for each in edge]
        family += found
        edge = [caused["id"] for each in found for caused in each["caused"]]
    return family


def outcome_of(family: list[dict[str, Any]]) -> Outcome:
    """What a rollback came to, as far as its events tell."""
    events = {each["event"]["type"]: Event.from_cloudevent(each["event"]) for each in family}
    request = events["rollback.requested"]
    done = events.get("model_version.rolled_back")
    if done is None:
        return _not_rolled_back(family[0], str(request.model))
    lines = (f"{done.model}: Production went back from version {done.before} to {done.after}.",)
    ended = events.get("rollout.finished") or events.get("rollout.failed")
    if ended:
        rollout = Rollout.read(ended)
        return Outcome(not rollout.has_failed, (*lines, *rollout.lines), done.after)
    for dispatch in _dispatches(family, "reload"):
        if dispatch["state"] in ENDS:
            told = f"Replicas were not told ({dispatch['state']}): {dispatch['note']}."
            return Outcome(is_good=False, lines=(*lines, told), target=done.after)
    return Outcome(None, (*lines, "The replicas are being told."), done.after)


def _not_rolled_back(requested: dict[str, Any], model: str) -> Outcome:
    for dispatch in _dispatches([requested], "rollback"):
        note = str(dispatch["note"]).rstrip(".")
        if dispatch["state"] == "skipped":
            return Outcome(is_good=False, lines=(f"{model} was not rolled back: {note}.",))
        if dispatch["state"] == "dead":
            return Outcome(is_good=False, lines=(f"The rollback of {model} failed: {note}.",))
        if dispatch["state"] == "pending" and note != "new":
            return Outcome(None, (f"Asked for, and put off: {note}.",))
    return Outcome(None, (f"Asked for {model}; a worker takes it up.",))


def _dispatches(family: list[dict[str, Any]], handler: str) -> list[dict[str, Any]]:
    return [
        dispatch
        for each in family
        for dispatch in each["dispatches"]
        if dispatch["handler"] == handler
    ]
