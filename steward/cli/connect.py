"""``steward connect``: Steward's webhook at MLflow, created, repaired and tested."""

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from steward.cli.api_client import read_up
from steward.settings import Settings, load_settings

if TYPE_CHECKING:
    from steward.clients.mlflow_webhooks import ConnectResult

_SAID = {"created": "Created", "repaired": "Repaired", "unchanged": "Already right"}
_WOULD_BE_SAID = {
    "created": "Would be created",
    "repaired": "Would be repaired",
    "unchanged": "Right as it is, as far as MLflow shows it",
}


def connect(
    url: Annotated[
        str | None,
        typer.Option(help="Where MLflow reaches the receiver; default STEWARD_WEBHOOK_URL."),
    ] = None,
    *,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Delete another installation's webhook.")
    ] = False,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Write the secret anew: the first configured one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Create or repair Steward's webhook at MLflow, and let MLflow deliver a test.

    Exit code: 0 it works, 1 it does not (the output says why), 4 MLflow cannot be reached.
    """
    settings = beside_up(load_settings(webhook_url=url))
    if not dry_run and not as_json and not _wrong(settings):
        typer.echo(f"Asking MLflow to deliver to {webhook_url(settings)} ...", err=True)
    result = connect_installation(settings, take_over=take_over, rotate=rotate, dry_run=dry_run)
    typer.echo(json.dumps(asdict(result), indent=2) if as_json else told(result, is_dry=dry_run))
    if not result.ok:
        raise typer.Exit(1)


def connect_installation(
    settings: Settings, *, take_over: bool = False, rotate: bool = False, dry_run: bool = False
) -> "ConnectResult":
    """Connect this installation; `steward up` calls it too, when its receiver answers.

    Raises ConfigurationError without MLFLOW_TRACKING_URI, TransientError when MLflow is away.
    """
    from steward.clients.mlflow_registry import configure_environment
    from steward.clients.mlflow_webhooks import WebhookAdmin
    from steward.wiring import installation_id, tracking_uri

    configure_environment()
    secrets = settings.webhook_secrets
    return WebhookAdmin(tracking_uri(settings)).connect(
        installation_id=installation_id(settings),
        url=webhook_url(settings),
        secret=secrets[0].get_secret_value() if secrets else None,
        take_over=take_over,
        rotate=rotate,
        dry_run=dry_run,
    )


def beside_up(settings: Settings) -> Settings:
    """The settings, and where they say nothing what `steward up` chose for this data directory."""
    running = read_up(settings)
    found: dict[str, object] = {}
    if not settings.mlflow_tracking_uri and running.get("mlflow"):
        found["mlflow_tracking_uri"] = running["mlflow"]
    if not settings.webhook_url and running.get("receiver"):
        found["webhook_url"] = f"{running['receiver'].rstrip('/')}/webhooks/mlflow"
    if not settings.webhook_secrets:
        file = settings.data_dir / "secrets" / "webhook-secret"
        with suppress(OSError):
            found["webhook_secrets"] = (SecretStr(file.read_text(encoding="utf-8").strip()),)
    return settings.model_copy(update=found)


def webhook_url(settings: Settings) -> str:
    """Where MLflow is to deliver."""
    return settings.webhook_url or f"{settings.receiver_url}/webhooks/mlflow"


def _wrong(settings: Settings) -> tuple[str, ...]:
    """What cannot work, so that MLflow is not asked; ConfigurationError without its address."""
    from steward.clients.mlflow_webhook_diagnosis import local_problems
    from steward.wiring import tracking_uri

    secret = "".join(each.get_secret_value() for each in settings.webhook_secrets[:1])
    return local_problems(tracking_uri(settings), webhook_url(settings), secret)


def told(result: "ConnectResult", *, is_dry: bool = False) -> str:
    """The result for people: what it is now, what was changed, what is wrong, what to do."""
    said = (_WOULD_BE_SAID if is_dry else _SAID)[result.action]
    lines = [f"Webhook {result.name} -> {result.url}"]
    if result.ok or result.action != "unchanged":
        lines.append(f"{said}{'' if is_dry or not result.ok else '; the test delivery arrived'}.")
    lines += [f"  - {change}" for change in result.changes]
    lines += [f"PROBLEM: {problem}" for problem in result.problems]
    lines += [f"Note: {advice}" for advice in result.advice]
    return "\n".join(lines)
