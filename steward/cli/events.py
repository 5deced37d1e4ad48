"""``steward events list | show | replay``: what arrived, and what became of it."""

from typing import Annotated, Any

import typer

from steward.cli import event_filter, options, tables
from steward.cli.api_client import Api, connect
from steward.cli.event_filter import chosen
from steward.cli.lookup import find_event
from steward.cli.replay import replay
from steward.cli.timeline import attempt_told, dispatch_name

PAGE = 500
app = typer.Typer(help="What happened, what became of it; and again.", no_args_is_help=True)
app.command()(replay)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
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
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where a list before ended.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    as_json: options.Json = False,
) -> None:
    """List events, newest first."""
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
    with connect(ctx.obj) as api:
        items, following = _pages(api, which, cursor, None if all_ else limit)
    if as_json:
        tables.as_json({"items": items, "next_cursor": following})
        return
    if not items:
        typer.echo("No event matches." if which else "No event yet.")
        return
    _print_list(items)
    if following:
        typer.echo(f"There are more: --all, or --cursor {following}", err=True)


def _pages(
    api: Api, which: dict[str, str], cursor: str | None, limit: int | None
) -> tuple[list[dict[str, Any]], str | None]:
    items: list[dict[str, Any]] = []
    while True:
        wanted = PAGE if limit is None else min(limit - len(items), PAGE)
        page = api.get("/events", {**which, "cursor": cursor, "limit": wanted})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or (limit is not None and len(items) >= limit):
            return items, cursor


def _print_list(items: list[dict[str, Any]]) -> None:
    """At a terminal the id stands under the type, so that 80 columns do; in a pipe beside it."""
    if tables.is_terminal():
        rows = [
            (
                tables.when(item["time"]),
                f"{item['type']}\n{item['id']}",
                item["subject"],
                item["status"],
                item["seen_by"],
            )
            for item in items
        ]
        tables.table(("time (UTC)", "event", "about", "status", "seen by"), rows)
        return
    rows_of_pipe = [
        (
            tables.when(item["time"]),
            item["id"],
            item["type"],
            item["subject"],
            item["status"],
            item["seen_by"],
        )
        for item in items
    ]
    tables.table(("time", "id", "type", "about", "status", "seen by"), rows_of_pipe)


@app.command()
def show(
    ctx: typer.Context,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The id, or how it begins.")],
    *,
    as_json: options.Json = False,
) -> None:
    """Show one event: how it arrived, who handled it and how that went, what it caused."""
    with connect(ctx.obj) as api:
        found = find_event(api, event_id)
    if as_json:
        tables.as_json(found)
        return
    _print_event(found)


def _print_event(found: dict[str, Any]) -> None:
    event = found["event"]
    data = {key: value for key, value in event["data"].items() if key not in ("before", "after")}
    typer.secho(tables.clean(event["type"]), bold=True)
    tables.facts(
        [
            ("about", event["subject"]),
            ("id", event["id"]),
            ("status", found["status"]),
            ("occurred", f"{event['time']}"),
            ("source", f"{event['source']}, seen by {event['seen_by']}"),
            ("caused by", event["causedby"]),
            ("before", event["data"].get("before")),
            ("after", event["data"].get("after")),
        ]
    )
    if data:
        tables.heading("Data")
        tables.facts(list(data.items()))
    tables.heading("What happened")
    tables.timeline(sorted(_timeline(found)))
    _print_open(found)


def _timeline(found: dict[str, Any]) -> list[tuple[str, str]]:
    """All that has happened to an event: time and sentence."""
    lines = [(found["event"]["recordedat"], "journalled")]
    for each in found["deliveries"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        told = f"delivered by {each['sender']}: {each['outcome']}{reason} [{each['delivery_id']}]"
        lines.append((each["received_at"], told))
    for dispatch in found["dispatches"]:
        tries = dispatch["attempts"]
        lines += [(each["ended_at"], _tried(dispatch, each)) for each in tries]
    for each in found["caused"]:
        told = f"caused {each['type']} of {each['subject']}, {each['status']} [{each['id']}]"
        lines.append((each["recordedat"], told))
    return lines


def _tried(dispatch: dict[str, Any], attempt: dict[str, Any]) -> str:
    owner = f" [{attempt['owner']}]" if attempt["owner"] else ""
    return attempt_told(dispatch, attempt) + owner


def _print_open(found: dict[str, Any]) -> None:
    """Where each dispatch stands now, and what to do about those that died."""
    if not found["dispatches"]:
        tables.say("No handler answers this event.", indent="  ")
        return
    tables.heading("Handlers")
    for dispatch in found["dispatches"]:
        note = f": {dispatch['note']}" if dispatch["note"] else ""
        due = ""
        if dispatch["state"] == "pending":
            last = dispatch["wait_until"]
            until = f", at last {tables.when(last)}" if last else ""
            due = f" (next look {tables.when(dispatch['due_at'])}{until})"
        tables.say(f"{dispatch['state']}{note}{due}", indent=f"  {dispatch_name(dispatch)}  ")
    if found["status"] == "dead":
        tables.heading("When the cause is gone")
        typer.echo(f"  steward events replay {found['event']['id']}")
