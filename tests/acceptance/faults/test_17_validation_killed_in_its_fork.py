"""Fault 17: the process that validates a version is killed in mid-work; its parent is not.

As the kernel does when memory ends. The lease is 4 seconds here, not 60.
"""

import os
import signal
import time

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import holder_of, outcomes_of
from tests.acceptance.faults.site import IMPATIENT, Site

LEASE_SECONDS = float(IMPATIENT["STEWARD_LEASE_SECONDS"])


def test_17_validation_killed_in_its_fork(site: Site, name: str) -> None:
    site.stop("worker-validation")
    worker = site.start("worker-validation", failpoints="claim.after_commit=sleep:2")
    version = site.register(name, auc=0.9)

    fork = holder_of(site, name, "validate")
    assert fork in site.workers_beneath("worker-validation")
    os.kill(fork, signal.SIGKILL)
    killed = time.monotonic()
    site.await_verdict(name, version, "promoted", within=LEASE_SECONDS + 26)

    assert outcomes_of(site, name, "validate", version) == ["expired", "succeeded"]
    assert time.monotonic() - killed > LEASE_SECONDS / 2
    assert worker.is_alive()
    assert fork not in site.workers_beneath("worker-validation")
    assert_sound(site, name)
