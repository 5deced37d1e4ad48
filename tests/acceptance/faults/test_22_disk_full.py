"""Fault 22: the disk under the journal is full: nothing is acknowledged until there is space again.

Once by a limit on how long the receiver's files may grow (its log as well), which any machine can
set; and once by a file system of 24 MB that is really full, where the tests may mount one.
"""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import Site
from tests.acceptance.faults.traffic import Traffic
from tests.servers import MlflowServer, beside, eventually

FULL_SECONDS = 4.0
FILE_SYSTEM_MEGABYTES = 24


@contextmanager
def growing_forbidden(pid: int) -> Iterator[None]:
    """Let no file that a process writes grow (beyond 4 KiB), as on a full disk."""
    before, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, most))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (before, most))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    place = tmp_path / "site" / "data"
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={FILE_SYSTEM_MEGABYTES}m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("There is no mount command; the test with a limit of file sizes runs.")
    if done.returncode:
        pytest.skip(
            f"This user may not mount a file system ({done.stderr.strip()}); the test with a "
            "limit of file sizes runs."
        )
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Take all space, and again what the journal's checkpoints free."""
    ballast = disk / "ballast"

    def fill(stop: threading.Event) -> None:
        with ballast.open("ab", buffering=0) as file:
            while not stop.wait(0.005):
                with suppress(OSError):
                    while file.write(b"\0" * 65_536):
                        pass
                with suppress(OSError):
                    file.write(b"\0" * 512)

    try:
        with beside(fill):
            eventually(lambda: os.statvfs(disk).f_bavail == 0)
            yield
    finally:
        ballast.unlink()


def test_22_receiver_may_write_no_more(site: Site, name: str) -> None:
    with Traffic(site, name).running() as traffic:
        eventually(lambda: len(traffic.of(202)) > 20, 30)
        with growing_forbidden(site.children["receiver"].pid):
            began = time.monotonic()
            eventually(lambda: len(traffic.of(503)) > 20, 30)
            eventually(lambda: not is_ready(site), 20)
            threading.Event().wait(FULL_SECONDS)
            assert all(each.status == 503 for each in traffic.since(began + 0.5))

    assert_recovered(site, name, traffic)


def test_22_file_system_full(faults_mlflow: MlflowServer, small_disk: Path, name: str) -> None:
    with Site(small_disk.parent, faults_mlflow).running() as site:
        with Traffic(site, name).running() as traffic:
            eventually(lambda: len(traffic.of(202)) > 20, 30)
            with full(small_disk):
                eventually(lambda: len(traffic.of(503)) > 20, 30)
                threading.Event().wait(FULL_SECONDS)

        assert_recovered(site, name, traffic)


def is_ready(site: Site) -> bool:
    return httpx.get(f"{site.url}/readyz", trust_env=False, timeout=10).is_success


def assert_recovered(site: Site, model: str, traffic: Traffic) -> None:
    """The same process takes deliveries again, and lost none that it acknowledged."""
    assert {each.status for each in traffic.said} == {202, 503}
    assert traffic.longest_seconds < 5
    eventually(lambda: is_ready(site), 20)
    traffic.send_again()

    version = site.register(f"{model}-after", auc=0.9)
    site.await_verdict(f"{model}-after", version, "promoted")
    assert_sound(site, model, f"{model}-after", acknowledged=traffic.acknowledged)
