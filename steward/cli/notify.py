"""``steward notify test``: whether every channel works, and what its messages look like.

Works on this installation's own settings and policy file; asks no other process.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, NoReturn, TypeVar

import typer

from handlers.messages import compose
from handlers.rendering import render
from handlers.wording import Links
from steward.cli.notify_examples import Example, examples
from steward.clients.channels import channel_for
from steward.errors import StewardError
from steward.events import EventType, uuid7
from steward.policy import ChannelSpec, Mode
from steward.policy.installed import policies_in_force, settings_channels
from steward.ports import Notification
from steward.settings import Settings, load_settings

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, help="Whom Steward tells, and whether that works.")

HOW_TO_CONFIGURE = """\
No channel is configured, so nobody is told. Set one or more of these, in the environment or .env:
  STEWARD_SLACK_WEBHOOK_URL=https://hooks.slack.com/services/...
  STEWARD_SMTP_URL=smtp://user:password@mail.example.com:587  and  STEWARD_EMAIL_TO=team@example.com
  STEWARD_NOTIFY_URLS=...   any Apprise URL, several separated by commas
or name channels in the policy file, under `channels:`."""


WITHOUT_POLICY = """\
STEWARD_POLICY_FILE is not set here, so the channels of a policy file that is in force are not known
to this command: set it to that file to test them."""


@app.callback()
def _notify() -> None:
    """Whom Steward tells, and whether that works."""


@app.command("test")
def send_examples(
    channel: Annotated[
        str | None, typer.Option(help="Only this channel; without it, every one.")
    ] = None,
    event: Annotated[
        str, typer.Option(help="Which event the example tells about.")
    ] = EventType.PROMOTED.value,
    *,
    is_printed: Annotated[
        bool, typer.Option("--print", help="Show what would be sent, and send nothing.")
    ] = False,
) -> None:
    """Send an example of a real notification to each channel, and say which ones work."""
    try:
        settings = load_settings()
        policies = policies_in_force(settings)
        channels = {**settings_channels(settings), **policies.channels}
        notification = _notification(_chosen(examples(), event, "event"), settings)
    except StewardError as error:
        _stop(str(error))
    if settings.policy_file is None and (not channels or channel not in {None, *channels}):
        typer.echo(WITHOUT_POLICY, err=True)
    if channel is not None:
        channels = {channel: _chosen(channels, channel, "channel")}
    if is_printed:
        _show(notification, channels if channel else {})
        return
    half = _missing_half(settings, channels.values()) if channel is None else None
    if half:
        typer.echo(half, err=True)
    if not channels:
        if half:
            raise typer.Exit(1)
        typer.echo(HOW_TO_CONFIGURE, err=True)
        raise typer.Exit(1)
    results = [_try(spec, settings, notification) for spec in channels.values()]
    modes = {Mode.lowest(policy.mode, settings.mode) for policy in policies.policies}
    if modes <= {Mode.OBSERVE}:
        typer.echo("Mode observe is in force for every model: beyond this test, nobody is told.")
    raise typer.Exit(0 if all(results) and not half else 1)


def _missing_half(settings: Settings, channels: Iterable[ChannelSpec]) -> str | None:
    """What email lacks. A policy file's email channel has recipients of its own."""
    if settings.smtp_url and not settings.email_to:
        if any(spec.kind == "email" for spec in channels):
            return None
        return "No email is sent: STEWARD_SMTP_URL is set, but STEWARD_EMAIL_TO, to whom, is not."
    if settings.email_to and not settings.smtp_url:
        return "No email is sent: STEWARD_EMAIL_TO is set, but STEWARD_SMTP_URL, by whom, is not."
    return None


def _notification(example: Example, settings: Settings) -> Notification:
    links = Links(settings.mlflow_tracking_uri or "", settings.public_url or settings.receiver_url)
    message = compose(example.event, example.chain, links)
    if message is None:
        raise AssertionError("every example can be told")
    marked = replace(
        message,
        title=f"[Test] {message.title}",
        note="an invented example, sent by steward notify test",
    )
    return render(
        marked, key=f"notify/test/{uuid7()}", templates_dir=settings.data_dir / "templates"
    )


def _try(spec: ChannelSpec, settings: Settings, notification: Notification) -> bool:
    try:
        answer = channel_for(spec, settings).send(notification)
    except StewardError as error:
        typer.echo(f"{spec.name} ({spec.kind}): failed. {error}")
        return False
    typer.echo(f"{spec.name} ({spec.kind}): ok, {answer}")
    return True


def _show(notification: Notification, channels: Mapping[str, ChannelSpec]) -> None:
    if any(spec.kind == "slack" for spec in channels.values()):
        typer.echo(json.dumps(list(notification.slack_blocks), indent=2, ensure_ascii=False))
    else:
        typer.echo(f"{notification.title}\n\n{notification.text}", nl=False)


def _chosen(known: Mapping[str, T], name: str, what: str) -> T:
    if name not in known:
        _stop(f"There is no {what} {name!r}; there is: {', '.join(known) or 'none'}.")
    return known[name]


def _stop(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(2)
