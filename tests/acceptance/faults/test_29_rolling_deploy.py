"""Fault 29: old and new processes work side by side: an old worker knows a handler less, and the
journal's tables are upgraded under old processes at work.

An older Steward is this one without what the newer one has: a handler, and the tables of 0002.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from steward.journal.migrate import HEAD, current_revision, upgrade
from steward.journal.routing import Routing
from steward.journal.store import Journal, open_engine
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import journal_of, outcomes_of
from tests.acceptance.faults.site import ROLES, Site
from tests.postgres import Databases
from tests.servers import Child, MlflowServer, eventually

WITHOUT_ANNOTATE = """
import handlers, runpy
for type_, names in handlers.ROUTES.items():
    handlers.ROUTES[type_] = tuple(name for name in names if name != "annotate")
runpy.run_module("steward.cli", run_name="__main__")
"""
BEFORE_0002 = """
import runpy
from steward.journal import counters, migrate, processes, receipts
migrate.HEAD = "0001"
counters.add = receipts.write = receipts.of_event = receipts.head_of = lambda *_: None
processes.Presence.start = processes.Presence.close = lambda self, *_: None
runpy.run_module("steward.cli", run_name="__main__")
"""


@contextmanager
def older(site: Site, role: str, program: str) -> Iterator[None]:
    """An older process in the place of a role, while the block lasts."""
    site.stop(role)
    start_older(site, role, program)
    site.await_ready(role)
    try:
        yield
    finally:
        if site.children[role].is_alive():
            site.stop(role)
            site.start(role)


def start_older(site: Site, role: str, program: str) -> None:
    file = site.directory / f"older-{role}.py"
    file.write_text(program)
    extra: dict[str, str] = {}
    if role in site.health_ports:
        extra["STEWARD_HEALTH_PORT"] = str(site.health_ports[role])
    command = [sys.executable, str(file), *site.roles[role]]
    log = site.directory / f"{role}.log"
    site.children[role] = Child(command, log, env=site.environment() | extra)


def test_29_older_worker_without_a_handler(site: Site, name: str) -> None:
    with older(site, "worker-default", WITHOUT_ANNOTATE):
        version = site.register(name, auc=0.9)
        site.await_verdict(name, version, "promoted")
        hinted = site.metric("poller", "steward_sweep_hints_total")
        eventually(lambda: site.metric("poller", "steward_sweep_hints_total") > hinted, 20)

        validated = site.events(model=name, type="model_version.validated")[0]
        assert states(site, validated) == {"promote": "succeeded", "annotate": "pending"}
        assert outcomes_of(site, name, "annotate", version) == []

    # It may find that a later event brought its tags; the sweep asks once a minute at least.
    eventually(lambda: states(site, validated)["annotate"] in ("succeeded", "skipped"), 75)
    assert_sound(site, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def older_site(
    request: pytest.FixtureRequest,
    faults_mlflow: MlflowServer,
    tmp_path: Path,
) -> Iterator[Site]:
    """A site on a journal at revision 0001, all of whose processes are older ones."""
    url = None
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("postgresql")
        url = databases.database("rolling_deploy")
    site = OlderSite(tmp_path / "site", faults_mlflow, url)
    (site.directory / "data").mkdir(parents=True)
    engine = open_engine(url or f"sqlite:///{site.directory / 'data' / 'steward.db'}")
    upgrade(Journal(engine, Routing({})), "0001")
    engine.dispose()
    with site.running():
        yield site


class OlderSite(Site):
    """Whose processes are older at first."""

    is_older = True

    def start(self, name: str, *, failpoints: str = "", wait: bool = True, **env: str) -> Child:
        if not self.is_older:
            return super().start(name, failpoints=failpoints, wait=wait, **env)
        start_older(self, name, BEFORE_0002)
        return self.children[name]

    def cli(self, *arguments: str, within: float = 60) -> Any:
        """An older command, too: the newer ones upgrade the journal."""
        if not self.is_older:
            return super().cli(*arguments, within=within)
        file = self.directory / "older-cli.py"
        file.write_text(BEFORE_0002)
        return subprocess.run(
            [sys.executable, str(file), *arguments],
            env={**os.environ, **self.environment(), "STEWARD_URL": self.url},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )


def test_29_tables_upgraded_under_older_processes(older_site: Site, name: str) -> None:
    site = older_site
    assert isinstance(site, OlderSite)
    models = [f"{name}-before", *(f"{name}-{role}" for role in ROLES), f"{name}-after"]
    site.await_verdict(models[0], site.register(models[0], auc=0.9), "promoted")
    with journal_of(site) as engine:
        assert current_revision(engine) == "0001"
    site.is_older = False
    for model, role in zip(models[1:], ROLES, strict=False):
        site.register(model, auc=0.9)
        site.stop(role)
        site.start(role)  # the first of them upgrades the tables
        with journal_of(site) as engine:
            assert current_revision(engine) == HEAD
        site.await_verdict(model, "1", "promoted")
    site.await_verdict(models[-1], site.register(models[-1], auc=0.9), "promoted")

    assert_sound(site, *models)


def states(site: Site, event: dict[str, Any]) -> dict[str, str]:
    """Handler -> state of an event's dispatches."""
    found = site.get(f"/events/{event['id']}")
    return {each["handler"]: each["state"] for each in found["dispatches"]}
