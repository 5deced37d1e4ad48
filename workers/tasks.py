"""The Celery tasks: one a handler, named after it, each given a dispatch id and nothing else."""

import gc
import os
import random
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_shutting_down

from handlers import LANES, PER_CHANNEL, QUEUES, ROUTES
from steward import logs
from steward.broker import Hinter, celery_app
from steward.journal.opening import open_journal
from steward.journal.routing import Routing
from steward.ports import Handler
from steward.settings import Settings
from steward.wiring import ServicesFactory, activate_policy, broker_url, process_name, registry
from workers.running import Runner

ROUTING = Routing(ROUTES, LANES, QUEUES, PER_CHANNEL)
SHUTDOWN_GRACE_SECONDS = 4.0
PARENT_CHECK_SECONDS = 1.0


@lru_cache
def handler_named(name: str) -> Handler:
    """The function of ``handlers/<name>.py``."""
    return cast("Handler", getattr(import_module(f"handlers.{name}"), name))


def make_runner(settings: Settings, hint: Hinter) -> Runner:
    """A runner on real clients, for this process."""
    journal = open_journal(settings, ROUTING)
    return Runner(
        journal,
        owner=process_name("worker"),
        handlers=handler_named,
        services_for=ServicesFactory(settings, journal),
        hint=hint.send,
        lease_seconds=settings.lease_seconds,
    )


def create_app(settings: Settings, queue: str) -> Celery:
    """The worker's Celery app, with a task for every handler.

    Raises:
        ConfigurationError: no broker, no registry, or a wrong policy file.

    """
    app = celery_app(broker_url(settings))
    setup_logging.connect(_keep_our_logs, weak=False)
    process = _Process(settings, app)
    for name in sorted({handler for names in ROUTES.values() for handler in names}):
        _register(app, name, process.run)
    journal = open_journal(settings, ROUTING)
    activate_policy(settings, journal)
    journal.close()
    if queue == "default":
        process.start()
        worker_shutting_down.connect(process.end_soon, weak=False)
    else:
        registry(settings)  # imports MLflow once, before the forks that share it
        gc.freeze()
        worker_process_init.connect(process.start_child, weak=False)
        worker_shutting_down.connect(process.tell_children, weak=False)
    return app


def _keep_our_logs(**_: Any) -> None:
    """Celery leaves logging alone when somebody answers this signal."""


def _register(app: Celery, name: str, run: Callable[[str], None]) -> None:
    @app.task(name=name)  # type: ignore[untyped-decorator]  # Celery has no types
    def task(dispatch_id: str) -> None:
        run(dispatch_id)


class _Process:
    """The runner of one process: made after a fork, ended with the worker."""

    def __init__(self, settings: Settings, app: Celery) -> None:
        self._settings = settings
        self._app = app
        self._runner: Runner | None = None
        self._lifeline = os.pipe()  # forked children hold its reading end

    def run(self, dispatch_id: str) -> None:
        if self._runner is not None:
            self._runner.run(dispatch_id)

    def start(self) -> None:
        self._runner = make_runner(self._settings, Hinter(self._app))

    def start_child(self, **_: Any) -> None:
        """In a forked child: own connections, and an eye on the parent."""
        random.seed()
        logs.configure("worker-validation", log_format=self._settings.log_format)
        os.close(self._lifeline[1])  # else no child ever saw its end
        self.start()
        threading.Thread(target=self._end_with, args=(os.getppid(),), daemon=True).start()

    def tell_children(self, **_: Any) -> None:
        """In the parent, told to stop: the children see the end of the lifeline."""
        os.close(self._lifeline[1])

    def end_soon(self, **_: Any) -> None:
        """Told to stop: claim nothing more, finish what runs for a moment, hand back the rest."""
        if self._runner is not None:
            self._runner.stop()
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        runner = self._runner
        deadline = time.monotonic() + SHUTDOWN_GRACE_SECONDS
        while runner and not runner.is_idle and time.monotonic() < deadline:
            time.sleep(0.05)
        if runner and not runner.is_idle:
            runner.hand_back()
            os._exit(0)  # a handler that hangs must not hold the process

    def _end_with(self, parent: int) -> None:
        """Wait until the parent stops or dies; then do as it would, for Celery tells no child."""
        os.read(self._lifeline[0], 1)
        if self._runner is not None:
            self._runner.stop()
        self._end()
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(0)
