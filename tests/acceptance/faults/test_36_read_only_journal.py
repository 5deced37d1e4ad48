"""Fault 36: the journal's file may not be written for a while.

A process that starts says so and ends; one that runs answers 503 wherever it cannot write, and
goes on by itself, also on the connections that it opened meanwhile. Where the tests are root's, the
processes run without the right to ignore permissions.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import Site
from tests.acceptance.faults.traffic import Traffic
from tests.servers import Child, MlflowServer, eventually

OBEYS_PERMISSIONS = """
import ctypes, os, sys
DROP_FROM_BOUNDING_SET, DAC_OVERRIDE = 24, 1
ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, DAC_OVERRIDE)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class ObeyingSite(Site):
    """Whose receiver may only write what its user may write."""

    def start(self, name: str, *, failpoints: str = "", wait: bool = True, **env: str) -> Child:
        if name != "receiver":
            return super().start(name, failpoints=failpoints, wait=wait, **env)
        command = [sys.executable, "-c", OBEYS_PERMISSIONS, "-m", "steward.cli", "receiver"]
        log = self.directory / "receiver.log"
        self.children[name] = Child(command, log, env=self.environment() | env)
        if wait:
            self.await_ready(name)
        return self.children[name]


@pytest.fixture
def obeying_site(faults_mlflow: MlflowServer, tmp_path: Path) -> Iterator[Site]:
    if os.geteuid() == 0 and sys.platform != "linux":
        pytest.skip("Root may write everything here.")
    with ObeyingSite(tmp_path / "site", faults_mlflow).running() as site:
        yield site


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Nobody may write the journal's files, nor make new ones beside them."""
    files = [*directory.glob("steward.db*")]
    modes = {each: each.stat().st_mode for each in [directory, *files]}
    for each in modes:
        each.chmod(0o555 if each.is_dir() else 0o444)
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.chmod(mode)


def test_36_receiver_started_on_a_read_only_journal(obeying_site: Site, name: str) -> None:
    site, data = obeying_site, obeying_site.directory / "data"
    site.stop("receiver")
    with read_only(data):
        site.start("receiver", wait=False)
        site.await_death("receiver", 40)

        told = site.log("receiver")
        assert f"The journal cannot be kept in {data}: Permission denied." in told
        assert "Traceback" not in told.split("Permission denied")[-1]

    site.start("receiver")
    version = site.register(name, auc=0.9)
    site.await_verdict(name, version, "promoted")
    assert_sound(site, name)


def test_36_journal_read_only_while_the_receiver_runs(obeying_site: Site, name: str) -> None:
    site = obeying_site
    site.stop("receiver")
    site.start("receiver")  # with few connections yet
    with Traffic(site, name, senders=2).running() as traffic:
        eventually(lambda: len(traffic.of(202)) > 5, 30)
        with read_only(site.directory / "data"), ThreadPoolExecutor(24) as readers:

            def refused() -> bool:
                list(readers.map(lambda _: site.get("/events", limit=500), range(48)))
                return bool(traffic.of(503))

            eventually(refused, 30)
        before = len(traffic.of(202))
        eventually(lambda: len(traffic.of(202)) > before + 100, 30)
        worked = len(traffic.said)
    assert all(each.status == 202 for each in traffic.said[worked - 50 :])

    assert {each.status for each in traffic.said} == {202, 503}
    traffic.send_again()
    assert_sound(site, name, acknowledged=traffic.acknowledged)
