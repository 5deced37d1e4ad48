"""Fault 23: the power fails under deliveries: what was never synced to the disk is gone.

A shim (sync_shim.c) keeps a copy of each file of the journal as it was at its last fsync. Every
process is killed at a random moment, and the copies take the place of the files.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import Site
from tests.acceptance.faults.traffic import Traffic
from tests.conftest import missing
from tests.servers import Child, MlflowServer, eventually

SOURCE = Path(__file__).with_name("sync_shim.c")
WRITER = """
import itertools, sqlite3, sys
file, synchronous = sys.argv[1:]
database = sqlite3.connect(file, isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute(f"PRAGMA synchronous={synchronous}")
database.execute("CREATE TABLE kept (number INTEGER PRIMARY KEY)")
for number in itertools.count(1):
    database.execute("INSERT INTO kept VALUES (?)", (number,))
    print(number, flush=True)
"""


@dataclass(frozen=True, slots=True)
class Power:
    """The shim, what it watches, and what a power cut leaves of that."""

    library: Path
    directory: Path
    shadow: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "SYNC_SHIM_DIR": str(self.directory),
            "SYNC_SHIM_SHADOW": str(self.shadow),
        }

    def returns(self) -> None:
        """Put what was synced in the place of what was written."""
        shutil.rmtree(self.directory)
        shutil.copytree(self.shadow, self.directory, ignore=shutil.ignore_patterns(".*"))


@pytest.fixture
def power(tmp_path: Path) -> Power:
    if sys.platform != "linux":
        pytest.skip("Only Linux lets a library stand between a process and its fsync this way.")
    compiler = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        missing("There is no C compiler: install gcc.")
    library, directory, shadow = (tmp_path / each for each in ("shim.so", "site/data", "shadow"))
    for each in (directory, shadow):
        each.mkdir(parents=True)
    build = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Power(library, directory, shadow)


@pytest.fixture
def site_with_power(faults_mlflow: MlflowServer, power: Power) -> Iterator[Site]:
    place = power.directory.parent
    with Site(place, faults_mlflow, settings=power.environment).running() as site:
        yield site


def test_23_power_cut_under_deliveries(site_with_power: Site, power: Power, name: str) -> None:
    site, wait = site_with_power, random.uniform(0.5, 3)  # noqa: S311  # a moment
    model = f"{name}-real"
    first = site.register(model, auc=0.9)
    with Traffic(site, name, senders=4, every_seconds=0.005).running() as traffic:
        eventually(lambda: len(traffic.of(202)) > 50, 30)
        site.register(model, auc=0.95)
        threading.Event().wait(wait)
        for role in site.children:
            os.killpg(site.children[role].pid, signal.SIGKILL)
    for role in site.children:
        site.kill(role)
    unsynced = (power.directory / "steward.db").stat().st_size

    power.returns()

    assert (power.directory / "steward.db").stat().st_size <= unsynced
    kept = kept_deliveries(power.directory / "steward.db")
    lost = traffic.acknowledged.keys() - kept
    assert lost == set(), f"{len(lost)} of {len(traffic.acknowledged)} acknowledged are lost"
    site.heal()
    site.await_verdict(model, first, "promoted")
    assert_sound(site, name, model, acknowledged=traffic.acknowledged)


@pytest.mark.parametrize(("synchronous", "is_safe"), [("FULL", True), ("OFF", False)])
def test_23_the_shim_finds_what_was_not_synced(
    power: Power, tmp_path: Path, synchronous: str, *, is_safe: bool
) -> None:
    file, log = power.directory / "kept.db", tmp_path / "writer.log"
    command = [sys.executable, "-c", WRITER, str(file), synchronous]
    writer = Child(command, log, env=power.environment)
    writer.wait_until(lambda: log.read_text().count("\n") > 100, 20)
    writer.kill()
    told = log.read_text().count("\n")
    with closing(sqlite3.connect(file)) as database:  # killed alone, it loses nothing
        assert database.execute("SELECT count(*) FROM kept").fetchone()[0] >= told

    power.returns()

    with closing(sqlite3.connect(file)) as database:
        has_table = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        query = "SELECT count(*) FROM kept" if has_table else "SELECT 0"
        assert (database.execute(query).fetchone()[0] >= told) is is_safe


def kept_deliveries(file: Path) -> set[str]:
    """The ids of the deliveries in a journal that is sound."""
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        query = "SELECT delivery_id FROM deliveries WHERE event_id IS NOT NULL"
        return {row[0] for row in database.execute(query)}
