"""``steward request-approval``, ``approve``, ``reject``, ``promote``, and ``approvals list``."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from steward.cli import following, options, tables
from steward.cli.answers import answer_of
from steward.cli.api_client import Api, connect, path_of
from steward.cli.lookup import get_model
from steward.errors import NotFoundError, StewardError

app = typer.Typer(help="What waits for a person.", no_args_is_help=True)
Newest = Annotated[str | None, typer.Argument(metavar="VERSION", help="Default: the newest.")]
Waiting = Annotated[
    str | None, typer.Argument(metavar="VERSION", help="Default: the one that waits.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the outcome.")]
Timeout = Annotated[timedelta, options.timeout("5m")]
FIVE_MINUTES = timedelta(minutes=5)


@app.callback()
def _approvals() -> None:
    """What waits for a person."""


@app.command("list")
def list_approvals(ctx: typer.Context, *, as_json: options.Json = False) -> None:
    """What waits for approval, who has approved, until when."""
    with connect(ctx.obj) as api:
        items = api.get("/approvals")["items"]
    if as_json:
        tables.as_json({"items": items})
        return
    if not items:
        typer.echo("Nothing waits for approval.")
    for each in items:
        given = ", ".join(one["actor"] for one in each["approved_by"]) or "nobody"
        asked = ", ".join(each["from"]) or "any approver"
        tables.say(
            f"{each['model']} version {each['version']}: {len(each['approved_by'])} of "
            f"{each['required']} (asked: {asked}; approved by: {given}; "
            f"until {each['expires_at'][:16].replace('T', ' ')} UTC)"
        )
        for reason in each["reasons"]:
            tables.say(f"  {reason}")


def request_approval(
    ctx: typer.Context,
    model: options.Model,
    version: Newest = None,
    *,
    reason: Annotated[str, typer.Option(help="Why it should be Production.")] = "",
    wait: Wait = True,
    timeout: Timeout = FIVE_MINUTES,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Ask people to approve a version that the rules hold.

    Exit code: 0 it waits for approval, 1 refused, 3 not in time.
    """
    _say(
        ctx,
        "request-approval",
        (model, version, registry, workspace),
        {"comment": reason},
        timeout if wait else None,
        as_json=as_json,
    )


def approve(
    ctx: typer.Context,
    model: options.Model,
    version: Waiting = None,
    *,
    comment: Annotated[str, typer.Option(help="It is written down and told.")] = "",
    wait: Wait = True,
    timeout: Timeout = FIVE_MINUTES,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Approve a version that waits for it; the last approval needed promotes it.

    Exit code: 0 promoted, or more approvals are needed; 1 refused or held, 3 not in time.
    """
    _say(
        ctx,
        "approve",
        (model, version, registry, workspace),
        {"comment": comment},
        timeout if wait else None,
        as_json=as_json,
    )


def reject(
    ctx: typer.Context,
    model: options.Model,
    version: Waiting = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is written down and told.")],
    wait: Wait = True,
    timeout: Timeout = FIVE_MINUTES,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Reject a version for good: only an explicit override promotes it after this.

    Exit code: 0 rejected, 1 refused, 3 not in time.
    """
    _need_reason(reason, "A rejection")
    _say(
        ctx,
        "reject",
        (model, version, registry, workspace),
        {"comment": reason},
        timeout if wait else None,
        as_json=as_json,
    )


def promote(
    ctx: typer.Context,
    model: options.Model,
    version: Newest = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; required for an override.")] = "",
    override: Annotated[
        bool,
        typer.Option("--override", help="Also past a person's rejection and failed gates."),
    ] = False,
    wait: Wait = True,
    timeout: Timeout = FIVE_MINUTES,
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Promote a version that the rules hold: past the margin, not past failed gates.

    Exit code: 0 promoted and served, 1 refused, held or left to approval, 3 not in time.
    """
    if override:
        _need_reason(reason, "An override")
    _say(
        ctx,
        "promote",
        (model, version, registry, workspace),
        {"comment": reason, "override": override},
        timeout if wait else None,
        as_json=as_json,
    )


def _need_reason(reason: str, what: str) -> None:
    if not reason.strip():
        raise typer.BadParameter(f"{what} needs a reason that says why.", param_hint="--reason")


Subject = tuple[str, str | None, str | None, str | None]
"""Model, version, registry, workspace."""


def _say(
    ctx: typer.Context,
    verb: str,
    subject: Subject,
    body: dict[str, Any],
    timeout: timedelta | None,
    *,
    as_json: bool,
) -> None:
    model, version, registry, workspace = subject
    place = {"registry": registry, "workspace": workspace}
    with connect(ctx.obj) as api:
        version = version or _default(api, verb, model, place)
        path = path_of("models", model, "versions", version, verb)
        event_id = following.ask(api, path, body, model=model, version=version, place=place)
        answer = None if timeout is None else following.follow(api, event_id, timeout, answer_of)
    following.tell(event_id, version, answer, as_json=as_json)


def _default(api: Api, verb: str, model: str, place: dict[str, Any]) -> str:
    """The version that waits, for an answer to it; else the newest."""
    known = get_model(api, model, params=place)
    if verb in ("approve", "reject"):
        waiting = [
            str(each["version"])
            for each in api.get("/approvals")["items"]
            if (each["model"], each["registry"]) == (known["name"], known["registry"])
        ]
        if len(waiting) != 1:
            told = f"versions {', '.join(waiting)} wait" if waiting else "no version waits"
            raise StewardError(f"Name the version: of {model} {told} for approval.")
        return waiting[0]
    if not known["versions"]:
        raise NotFoundError(f"Steward knows no version of {model}.")
    return str(known["versions"][0]["version"])
