"""The Celery tasks: one a handler, named after it, each given a dispatch id and nothing else."""

import gc
import logging
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from celery import Celery
from celery.signals import (
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)

from handlers import LANES, PER_CHANNEL, QUEUES, ROUTES
from steward.broker import Hinter, celery_app
from steward.journal.opening import open_journal
from steward.journal.processes import process_name
from steward.journal.routing import Routing
from steward.ports import Handler
from steward.settings import Settings
from steward.wiring import ServicesFactory, activate_policy, broker_url, registry
from workers.life import WorkerProcess
from workers.places import PlacesStep
from workers.running import Runner

ROUTING = Routing(ROUTES, LANES, QUEUES, PER_CHANNEL)
HANDLERS = frozenset(handler for names in ROUTES.values() for handler in names)


@lru_cache
def handler_named(name: str) -> Handler:
    """The function of ``handlers/<name>.py``."""
    return cast("Handler", getattr(import_module(f"handlers.{name}"), name))


def make_runner(settings: Settings, hint: Hinter) -> Runner:
    """A runner on real clients, for this process."""
    journal = open_journal(settings, ROUTING)
    services = ServicesFactory(settings, journal)
    return Runner(
        journal,
        owner=process_name("worker"),
        handlers=handler_named,
        services_for=services,
        hint=hint.send,
        lease_seconds=settings.lease_seconds,
        known=HANDLERS,
        end_services=services.close,
    )


def create_app(settings: Settings, queue: str) -> tuple[Celery, WorkerProcess]:
    """The worker's Celery app, with a task for every handler, and this process's life.

    Raises:
        ConfigurationError: no broker, no registry, or a wrong policy file.

    """
    app = celery_app(broker_url(settings))
    app.conf.worker_consumer = "workers.liveness:WorkConsumer"
    app.steps["consumer"].add(PlacesStep)
    setup_logging.connect(_keep_our_logs, weak=False)
    journal = open_journal(settings, ROUTING)
    activate_policy(settings, journal)
    journal.close()
    process = WorkerProcess(settings, app, queue=queue, make_runner=make_runner)
    for name in sorted(HANDLERS):
        _register(app, name, process.run)
    if queue == "validation":
        registry(settings)  # imports MLflow once, before the forks that share it
        gc.freeze()
        worker_process_init.connect(process.begin_child, weak=False)
        worker_process_shutdown.connect(process.end_child, weak=False)
    worker_shutting_down.connect(process.end_soon, weak=False)
    return app, process


def _keep_our_logs(**_: Any) -> None:
    """Celery leaves logging alone when somebody answers this signal.

    Its lines for every message would double ours, and name no event.
    """
    logging.getLogger("celery").setLevel(logging.WARNING)


def _register(app: Celery, name: str, run: Callable[[str], None]) -> None:
    @app.task(name=name)  # type: ignore[untyped-decorator]  # Celery has no types
    def task(dispatch_id: str) -> None:
        run(dispatch_id)
