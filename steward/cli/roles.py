"""``steward receiver | worker | poller | replica``: one role each, configured by the settings."""

import signal
import threading
from types import FrameType
from typing import Annotated, Any

import typer

from steward import logs
from steward.cli.addresses import HIGHEST
from steward.errors import ConfigurationError
from steward.failpoints import VARIABLE, arm, armed
from steward.settings import Settings, load_settings

QUEUE_HELP = "Which dispatches: default (threads) or validation (forked processes)."


def receiver(
    host: Annotated[str | None, typer.Option(help="Address to bind (STEWARD_HOST).")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to bind (STEWARD_PORT).", min=0, max=HIGHEST)
    ] = None,
) -> None:
    """Take deliveries and serve the operators' API."""
    settings = load_settings(host=host, port=port)
    _begin("receiver", settings)
    from webhook_receiver.app import run

    run(settings)


def worker(
    queue: Annotated[str, typer.Option(help=QUEUE_HELP)] = "default",
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="How many at once (default 8, validation 2).")
    ] = None,
) -> None:
    """Handle dispatches: validate, promote, reload, notify."""
    if queue not in ("default", "validation"):
        raise typer.BadParameter(f"{queue} is no queue; expected default or validation.")
    settings = load_settings()
    _begin(f"worker-{queue}", settings)
    from workers.process import run

    run(settings, queue=queue, concurrency=concurrency)


def poller() -> None:
    """Find what webhooks missed, and keep the clock of retries and waits (the sweep)."""
    settings = load_settings()
    _begin("poller", settings)
    from steward.cli.polling import run

    run(settings, stop_on_signals())


def replica(
    model: Annotated[str, typer.Option(help="Name of the registered model to serve.")],
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to bind; 0 takes any free one.", min=0, max=HIGHEST)
    ] = 8900,
    replica_id: Annotated[
        str | None, typer.Option(help="Its name; by default of model, host and port.")
    ] = None,
) -> None:
    """Serve a model's Production version over HTTP."""
    settings: Settings = load_settings()
    from serving.process import run

    run(settings, model=model, host=host, port=port, replica_id=replica_id)


def _begin(role: str, settings: Settings) -> None:
    logs.configure(role, log_format=settings.log_format)
    if not settings.failpoints:
        return
    if not settings.allow_failpoints:
        raise ConfigurationError(
            f"{VARIABLE} is set: it makes a process kill itself, in tests alone. Unset it."
        )
    arm(settings.failpoints)
    logs.get_logger().warning("failpoints_armed", points=", ".join(armed()))


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


def register(app: Any) -> None:
    """Add the roles to the command."""
    for role in (receiver, worker, poller, replica):
        app.command()(role)
