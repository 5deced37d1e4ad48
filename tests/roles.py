"""Steward's roles as single processes, the way they run on several machines: no supervisor.

A test starts and ends each by name on a broker, a registry and a journal of its choice, sees them
through the receiver's API, and looks into the journal where that says more.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from handlers import ROUTES
from steward.journal.migrate import upgrade
from steward.journal.routing import Routing
from steward.journal.schema import attempts, dispatches, events, leases, processes
from steward.journal.store import Journal, open_engine
from tests.models import register_version
from tests.servers import ROOT, Child, eventually, free_port

COMMANDS = {
    "receiver": ("receiver",),
    "worker-default": ("worker", "--queue", "default"),
    "worker-validation": ("worker", "--queue", "validation", "--concurrency", "2"),
    "poller": ("poller",),
}
READY_SECONDS = 90.0
OPEN = ("pending", "running")
HANDLERS = {name for names in ROUTES.values() for name in names}
_OURS = ("STEWARD_", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


@dataclass
class Roles:
    """An installation without a supervisor; ``environment`` is laid over the settings."""

    directory: Path
    broker_url: str
    mlflow_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    health_ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        database = self.environment.get("STEWARD_DATABASE_URL")
        self.journal = Journal(
            open_engine(database or f"sqlite:///{self.directory / 'data' / 'steward.db'}"),
            Routing({}),
        )
        upgrade(self.journal)

    def start(
        self,
        name: str,
        *,
        is_awaited: bool = True,
        environment: Mapping[str, str] | None = None,
        script: Path | None = None,
    ) -> Child:
        """Start one role; ``script`` is run instead of ``steward.cli``, with its arguments."""
        role = name.partition("#")[0]
        self.health_ports[name] = self.port if role == "receiver" else free_port()
        program = [str(script)] if script else ["-m", "steward.cli"]
        child = Child(
            [sys.executable, *program, *COMMANDS[role]],
            self.directory / f"{name}.log",
            env=self._environment(name) | dict(environment or {}),
        )
        self.children[name] = child
        if is_awaited:
            self.await_ready(name)
        return child

    def await_ready(self, name: str) -> None:
        """Wait until a role is ready, and a worker consumes too (its first canary came back)."""
        self.children[name].wait_until(
            lambda: (
                self.is_ready(name)
                and (not name.startswith("worker") or bool(self.canary_age(name) is not None))
            ),
            READY_SECONDS,
        )

    def stop(self, name: str) -> float:
        """SIGTERM; returns how many seconds the process took to end."""
        began = time.monotonic()
        self.children[name].stop(40)
        return time.monotonic() - began

    def kill(self, name: str) -> None:
        """SIGKILL it and what it started, as a crash."""
        self.children[name].kill()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one process alone."""
        self.children[name].send(number)

    # -- looking --------------------------------------------------------------------------------

    def is_ready(self, name: str) -> bool:
        try:
            return self._ask(name, "/readyz").is_success
        except httpx.HTTPError:
            return False

    def metric(self, name: str, metric: str) -> float | None:
        """One metric without labels, as a role shows it now."""
        for line in self._ask(name, "/metrics").text.splitlines():
            if line.startswith(f"{metric} "):
                return float(line.split()[1])
        return None

    def canary_age(self, name: str) -> float | None:
        """Seconds since the last canary came back to a worker; None before the first."""
        try:
            if not self.metric(name, "steward_canaries_returned_total"):
                return None
            return self.metric(name, "steward_canary_age_seconds")
        except httpx.HTTPError:
            return None

    def health(self) -> dict[str, Any]:
        """What the receiver says of everything."""
        answer = httpx.get(f"{self.url}/api/v1/health", timeout=20, trust_env=False)
        assert answer.is_success, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def log(self, name: str) -> str:
        return self.children[name].log.read_text(encoding="utf-8", errors="replace")

    def dispatches(self) -> list[Any]:
        """Every dispatch, as the journal has it."""
        with self.journal.read() as connection:
            return list(connection.execute(select(dispatches).order_by(dispatches.c.created_at)))

    def running_dispatches(self, handler: str | None = None) -> list[Any]:
        return [
            each
            for each in self.dispatches()
            if each.state == "running" and handler in (None, each.handler)
        ]

    def attempts(self, dispatch_id: str) -> list[Any]:
        query = select(attempts).where(attempts.c.dispatch_id == dispatch_id)
        with self.journal.read() as connection:
            return list(connection.execute(query.order_by(attempts.c.id)))

    def processes(self) -> list[Any]:
        with self.journal.read() as connection:
            return list(connection.execute(select(processes)))

    def leases(self) -> dict[str, str]:
        with self.journal.read() as connection:
            return {row.name: row.holder for row in connection.execute(select(leases))}

    # -- doing ----------------------------------------------------------------------------------

    def register(self, model: str, *aucs: float) -> list[str]:
        """Register versions at the registry itself, never through a proxy of the workers."""
        return [register_version(self.mlflow_url, model, auc=auc) for auc in aucs]

    def await_finished(self, model: str, versions: Sequence[str], within: float = 90) -> None:
        """Wait until these versions were judged once each, and nothing of the model is open."""

        def is_finished() -> bool:
            rows = [row for row in self._rows(model) if row.handler in HANDLERS]
            judged = {row.version for row in rows if row.handler == "validate"}
            return judged >= set(versions) and not any(row.state in OPEN for row in rows)

        try:
            eventually(is_finished, within, every_seconds=0.2)
        except AssertionError as error:
            rows = [(row.version, row.handler, row.state, row.note) for row in self._rows(model)]
            raise AssertionError(f"{model} is not finished within {within} s: {rows}") from error
        ends = {row.state for row in self._rows(model) if row.handler in HANDLERS}
        assert ends <= {"succeeded", "skipped"}, ends
        for kind in ("model_version.created", "model_version.validated", "model_version.promoted"):
            found = self._versions(model, kind)
            assert len(found) == len(set(found)), (kind, found)

    def known(self, model: str) -> list[str]:
        """Versions that the journal knows of."""
        return self._versions(model, "model_version.created")

    def validated(self, model: str) -> list[str]:
        """Versions that passed their gates and checks, in order."""
        return self._versions(model, "model_version.validated")

    def promoted(self, model: str) -> list[str]:
        """Versions that were promoted, in order."""
        return self._versions(model, "model_version.promoted")

    def pending(self, model: str, handler: str) -> list[Any]:
        rows = self._rows(model)
        return [row for row in rows if row.handler == handler and row.state == "pending"]

    # -- inside ---------------------------------------------------------------------------------

    def _rows(self, model: str) -> list[Any]:
        """Dispatches of one model, with the version each is about."""
        query = (
            select(dispatches, events.c.version)
            .join(events, events.c.id == dispatches.c.event_id)
            .where(events.c.model == model)
            .order_by(dispatches.c.created_at)
        )
        with self.journal.read() as connection:
            return list(connection.execute(query))

    def _versions(self, model: str, kind: str) -> list[str]:
        query = select(events.c.version).where(events.c.model == model, events.c.type == kind)
        with self.journal.read() as connection:
            return list(connection.execute(query.order_by(events.c.seq)).scalars())

    def _ask(self, name: str, path: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.health_ports[name]}{path}"
        return httpx.get(url, timeout=5, trust_env=False)

    def _environment(self, name: str) -> dict[str, str]:
        unset = {each: "" for each in os.environ if each.startswith(_OURS)}
        return {
            **unset,
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "STEWARD_DATA_DIR": str(self.directory / "data"),
            "STEWARD_BROKER_URL": self.broker_url,
            "STEWARD_BUILT_IN_POLICY": "true",
            "STEWARD_PORT": str(self.port),
            "STEWARD_HEALTH_PORT": str(self.health_ports[name]),
            "STEWARD_POLL_INTERVAL_SECONDS": "1",
            "STEWARD_LEASE_SECONDS": "8",
            "STEWARD_CANARY_SECONDS": "1",
            **self.environment,
        }
