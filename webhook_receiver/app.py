"""The receiver's web application and its process: composes the parts; called by the CLI."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import handlers
from steward import logs
from steward.errors import ConfigurationError
from steward.journal import audit
from steward.journal.opening import open_journal
from steward.journal.processes import Presence, process_name
from steward.journal.routing import Routing
from steward.journal.store import Journal
from steward.settings import Settings
from webhook_receiver import api_page, documentation, problems
from webhook_receiver.api import (
    approvals,
    commands,
    compare,
    events,
    explain,
    health,
    lineage,
    models,
    receipts,
    replays,
    replicas,
    status,
    verdicts,
    versions,
)
from webhook_receiver.api.access import is_loopback
from webhook_receiver.door import Door
from webhook_receiver.heartbeats import Heartbeats
from webhook_receiver.intake import Hinted, Intake
from webhook_receiver.patience import PatientProtocol
from webhook_receiver.readiness import Readiness
from webhook_receiver.room import Room
from webhook_receiver.senders.mlflow import SENDER, MlflowSender
from webhook_receiver.tokens import TokenCache
from webhook_receiver.watch import VerdictWatch

DRAIN_SECONDS = 5


def create_app(
    settings: Settings, *, hint: Hinted | None = None, journal: Journal | None = None
) -> FastAPI:
    """The receiver. ``hint`` is where dispatches go after their commit (default: the broker).

    Raises:
        ConfigurationError: the journal cannot be opened.

    """
    journal = journal or open_journal(settings, house_routing())
    send, close_hinter = (hint, _nothing) if hint else _hinter(settings)
    room = Room(
        settings=settings,
        journal=journal,
        hint=send,
        intake=Intake(journal, send),
        heartbeats=Heartbeats(journal),
        watch=VerdictWatch(journal),
        tokens=TokenCache(journal),
        readiness=Readiness(journal),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        room.heartbeats.start()
        yield
        room.watch.close()
        await room.intake.close()
        await room.heartbeats.close()
        await asyncio.to_thread(close_hinter)

    app = _Receiver(lifespan=lifespan, redirect_slashes=False, **documentation.ABOUT)
    app.state.room = room
    problems.install(app)
    door = Door(SENDER, MlflowSender(settings.secret_bytes("webhook")), room.intake)
    for path in ("/webhooks/mlflow", "/webhooks/mlflow/{registry}"):
        app.router.routes.insert(0, Route(path, door, methods=["POST"]))
    app.doors["/webhooks/mlflow"] = door
    accounts = (models, versions, lineage, compare, verdicts, explain, receipts)
    operators = (*accounts, commands, approvals, replicas)
    for module in (events, replays, *operators, health, status):
        app.include_router(module.router)
    documentation.install(app)
    api_page.install(app)
    return app


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        ConfigurationError: the address is taken, or open to others before a token exists.

    """
    logs.configure("receiver", log_format=settings.log_format)
    with closing(open_journal(settings, house_routing())) as journal:
        if not is_loopback(settings.host) and not audit.has_token(journal):
            raise ConfigurationError(
                f"STEWARD_HOST is {settings.host}, which others can reach, but no token exists "
                "yet. Make one first: steward token create."
            )
        with closing(_listen(settings.host, settings.port)) as listener:
            app = create_app(settings, journal=journal)
            presence = Presence(journal, name=process_name("receiver"), role="receiver")
            port = listener.getsockname()[1]
            logs.get_logger().info("receiver_listening", host=settings.host, port=port)
            _spare_the_collector()
            presence.start()
            _Server(app, presence).run(sockets=[listener])


def _spare_the_collector() -> None:
    """What was imported stays: walking through it again and again cost a tenth of the intake."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def house_routing() -> Routing:
    """The tables of ``handlers``."""
    return Routing(handlers.ROUTES, handlers.LANES, handlers.QUEUES, handlers.PER_CHANNEL)


class _Receiver(FastAPI):
    """FastAPI with the doors in front: a delivery pays for no middleware and no routing."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self.doors: dict[str, Door] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            door = self.doors.get(scope["path"])
            if door is not None:
                await door(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class _Server(uvicorn.Server):
    """Lets those go who wait for verdicts, before it waits for requests to end.

    A server's end is the end of the process, by the signal that asked for it: what comes after
    ``run`` is never reached.
    """

    def __init__(self, app: FastAPI, presence: Presence) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # who is loopback is decided on the real peer
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self._room: Room = app.state.room
        self._presence = presence

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._room.watch.close()
        await super().shutdown(sockets)
        await asyncio.to_thread(self._presence.close)


def _listen(host: str, port: int) -> socket.socket:
    """Bound before anything else, so that a taken port is one clear sentence."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"The receiver cannot listen on {host}:{port}: {error.strerror}. "
            "Choose another STEWARD_PORT."
        ) from error


def _hinter(settings: Settings) -> tuple[Hinted, Callable[[], None]]:
    from steward.broker import Hinter, celery_app  # Celery only where a broker is used

    if settings.broker_url is None:
        logs.get_logger().warning("no_broker_configured", setting="STEWARD_BROKER_URL")
        return _drop, _nothing
    hinter = Hinter(celery_app(settings.broker_url))
    return hinter.send, hinter.close


def _drop(_hints: object) -> None:
    """Without a broker the journal keeps every dispatch until a sweep that has one."""


def _nothing() -> None:
    pass
