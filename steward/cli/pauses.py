"""``steward pause`` and ``steward resume``: stop acting, and act again."""

from typing import Annotated

import typer

from steward.cli import options, tables
from steward.cli.api_client import Api, Document, RefusedError, connect
from steward.cli.lookup import get_model

Model = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="Only this model; default: everything.")
]


def pause(
    ctx: typer.Context,
    model: Model = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; people are shown it.")],
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Stop promoting, reloading and rolling back by automation, until `steward resume`."""
    with connect(ctx.obj) as api:
        answer = _tell(api, "pause", model, reason, _place(registry, workspace))
    if as_json:
        tables.as_json(answer)
        return
    typer.echo(f"Paused {model or 'everything'}. Events go on being journalled.")
    typer.echo(f"To go on: steward resume{f' {tables.quoted(model)}' if model else ''}")


def resume(
    ctx: typer.Context,
    model: Model = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is written down.")] = "",
    registry: options.Registry = None,
    workspace: options.Workspace = None,
    as_json: options.Json = False,
) -> None:
    """Act again; what waited is taken up at once."""
    with connect(ctx.obj) as api:
        answer = _resume(api, model, reason, _place(registry, workspace))
        left = api.get("/pauses")["items"]
    if as_json:
        tables.as_json({**answer, "pauses": left})
        return
    typer.echo(f"Resumed {model or 'everything'}. What waited is taken up now.")
    for each in left:
        tables.say(f"Still paused: {pause_told(each)}.")


def _resume(api: Api, model: str | None, reason: str, place: dict[str, str]) -> Document:
    try:
        return _tell(api, "resume", model, reason, place)
    except RefusedError as error:
        left = "; ".join(pause_told(each) for each in api.get("/pauses")["items"])
        raise RefusedError(
            f"{model or 'Everything'} is not paused by itself. "
            + (f"In force: {left}." if left else "Nothing is paused.")
        ) from error


def _tell(api: Api, verb: str, model: str | None, reason: str, place: dict[str, str]) -> Document:
    body = {"reason": reason, **place}
    if model:
        get_model(api, model, params=place)  # a pause of a misspelt model would stop nothing
        body["model"] = model
    return api.post(f"/{verb}", body)


def _place(registry: str | None, workspace: str | None) -> dict[str, str]:
    place = {"registry": registry, "workspace": workspace}
    return {key: value for key, value in place.items() if value is not None}


def paused_told(paused: Document | None) -> str | None:
    """Whose pause covers a model, for an account of it."""
    return f"by {paused['by']}: {paused['reason']}" if paused else None


def pause_told(each: Document) -> str:
    """What is paused, by whom, since when and why."""
    scope = each["scope"].split("/", 2)[-1]  # registry/workspace/model, or "everything"
    return f"{scope}, by {each['actor']} {tables.ago(each['since'])}: {each['reason']}"
