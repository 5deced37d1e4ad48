"""``steward events replay``: ask again, for one event, a few, or all that a filter takes.

What a replay would do is shown before it happens when a filter chose the events.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from steward.cli import event_filter, options, tables
from steward.cli.api_client import Api, connect, path_of
from steward.cli.event_filter import chosen
from steward.cli.lookup import find_event
from steward.errors import StewardError

ACTING = ("replay", "bring_forward", "insert")
_OUTCOMES = {
    "replay": "runs again",
    "bring_forward": "now instead of later",
    "insert": "added, its handler is newer than the event",
    "refuse": "left alone while it runs",
    "keep": "left alone",
}


class Mode(StrEnum):
    """What is asked again."""

    FAILED = "failed"
    ALL = "all"


def replay(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(help="Events; or choose by options.")] = None,
    *,
    handler: Annotated[
        list[str] | None, typer.Option(help="Only this handler; may be repeated.")
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="failed: what died; all: also what succeeded or was skipped.")
    ] = Mode.FAILED,
    reason: Annotated[str, typer.Option(help="Why; it is written down.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, do nothing.")] = False,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, max=100, help="Chosen by options: so many begin a second [20]."),
    ] = None,
    cancel: Annotated[
        str | None,
        typer.Option(metavar="BATCH", help="Stop a replay: what has not begun stays as it was."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    type_: event_filter.Type = None,
    model: event_filter.Model = None,
    version: event_filter.Version = None,
    status: event_filter.StatusOption = None,
    source: event_filter.Source = None,
    seen_by: event_filter.SeenByOption = None,
    since: event_filter.Since = None,
    until: event_filter.Until = None,
    q: event_filter.Text = None,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Handle events again: given by their ids, or chosen by options.

    Chosen events are counted and planned first, and you are asked; --yes answers.
    """
    which = chosen(
        type=type_,
        model=model,
        version=version,
        status=status,
        source=source,
        seen_by=seen_by,
        since=since,
        until=until,
        q=q,
        registry=registry,
        workspace=workspace,
    )
    if cancel is not None:
        _cancel(ctx, cancel, is_alone=not (ids or which), as_json=as_json)
        return
    _refuse_unclear(ids, which, rate)
    body: dict[str, Any] = {"handlers": handler, "mode": mode.value, "reason": reason}
    with connect(ctx.obj) as api:
        if ids:
            answer = _each(api, ids, body, dry_run=dry_run)
        else:
            paced = body | ({"rate": rate} if rate else {})
            answer = _by_filter(api, which, paced, dry_run=dry_run, is_sure=yes)
    by = f" by {' or '.join(handler)}" if handler else ""
    nothing = f"Nothing matches: no dispatch of {', '.join(ids or ())}{by}."
    _tell(answer, nothing=nothing, is_done=not dry_run, as_json=as_json)
    if not _acts(answer):
        raise typer.Exit(1)


def _refuse_unclear(ids: list[str] | None, which: dict[str, str], rate: float | None) -> None:
    if rate and ids:
        raise typer.BadParameter("--rate is for events that are chosen by options.")
    if bool(ids) == bool(which):
        raise typer.BadParameter(
            "Name events, or choose them by options, not both."
            if ids
            else "Name events, or choose them by options: --status dead, --type, --model, --since."
        )


def _cancel(ctx: typer.Context, batch: str, *, is_alone: bool, as_json: bool) -> None:
    if not is_alone:
        raise typer.BadParameter("--cancel takes a batch alone, and no events.")
    with connect(ctx.obj) as api:
        done = api.delete(path_of("replay", batch))
    if as_json:
        tables.as_json(done)
        return
    typer.echo(
        f"{done['cancelled']} had not begun and stay as they were; {done['left']} had begun."
    )


def _acts(answer: dict[str, Any]) -> bool:
    return any(answer["counts"].get(each) for each in ACTING)


def _each(api: Api, ids: Sequence[str], body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    # All are looked up before the first is replayed: a wrong id must not leave half done.
    found = [find_event(api, event_id)["event"]["id"] for event_id in dict.fromkeys(ids)]
    steps: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for event_id in found:
        path = path_of("events", event_id, "replay")
        answer = api.post(path, {**body, "dry_run": dry_run})
        steps += answer["steps"]
        counts.update(answer["counts"])
    return {"steps": steps, "counts": counts, "events": len(found), "batch": None}


def _by_filter(
    api: Api, which: dict[str, str], body: dict[str, Any], *, dry_run: bool, is_sure: bool
) -> dict[str, Any]:
    asked = {"filter": which, **body}
    if not is_sure or dry_run:
        planned = _some(api.post("/replay", {**asked, "dry_run": True}), which)
        if dry_run or not _acts(planned):
            return planned
        _ask(planned)
    return _some(api.post("/replay", {**asked, "dry_run": False}), which)


def _ask(planned: dict[str, Any]) -> None:
    _print(planned, is_plan=True, err=True)
    if not sys.stdin.isatty():
        raise StewardError(
            "Nothing was replayed: nobody can be asked here. Say --yes to go on, or --dry-run "
            "to see the plan."
        )
    typer.confirm("Replay them?", abort=True, err=True)


def _some(answer: dict[str, Any], which: dict[str, str]) -> dict[str, Any]:
    if not answer["steps"]:
        told = ", ".join(f"{name} {value}" for name, value in which.items())
        count = answer["events"]
        raise StewardError(
            f"{count} event{'s match' if count != 1 else ' matches'} {told}, and none has "
            "anything to replay."
            if count
            else f"No event matches {told}. See: steward events list"
        )
    return answer


def _tell(answer: dict[str, Any], *, nothing: str, is_done: bool, as_json: bool) -> None:
    steps = answer["steps"]
    if as_json:
        told = {key: answer[key] for key in ("counts", "batch", "steps")}
        tables.as_json({"dry_run": not is_done, **told})
        return
    if not steps:
        typer.echo(nothing)
        return
    _print(answer, is_plan=not is_done)
    if not is_done:
        typer.echo("This is the plan; nothing was done.")
    elif not _acts(answer):
        typer.echo("Nothing was replayed. --mode all repeats also what ended well.")
    else:
        typer.echo(f"Replayed. To follow: steward events show {steps[0]['event_id']}")
    if is_done and _acts(answer) and answer["batch"]:
        typer.echo(f"To stop what has not begun: steward events replay --cancel {answer['batch']}")


def _print(answer: dict[str, Any], *, is_plan: bool, err: bool = False) -> None:
    """Each event with its dispatches, then how many of each kind."""
    event_id = None
    for step in answer["steps"]:
        if step["event_id"] != event_id:
            event_id = step["event_id"]
            tables.say(f"{event_id}  {step['event_type']}", err=err)
        target = f" to {step['target']}" if step["target"] else ""
        line = f"{step['handler']}{target}: {step['state']}, {_OUTCOMES[step['action']]}."
        would = f" {step['would']}" if is_plan and step["action"] in ACTING else ""
        tables.say(line + would, indent="    ", err=err)
    if (more := sum(answer["counts"].values()) - len(answer["steps"])) > 0:
        tables.say(f"... and {more} more dispatches.", err=err)
    tables.say(_summary(answer), err=err)


def _summary(answer: dict[str, Any]) -> str:
    counts = Counter(answer["counts"])
    events, count = answer["events"], counts.total()
    told = ", ".join(f"{counts[each]} {text}" for each, text in _OUTCOMES.items() if counts[each])
    dispatches = f"{count} dispatch{'es' * (count != 1)}"
    return f"{events} event{'s' * (events != 1)}, {dispatches}: {told}."
