"""Fault 19: a worker stands still for longer than its lease, and goes on after others took over.

Leases are 4 seconds here, not 60. The worker goes on when another has finished its work, and a
newer version is Production: from there, every late write would do harm.
"""

import time

import pytest

from tests.acceptance.faults.invariants import POSSIBLY_TWICE, assert_sound
from tests.acceptance.faults.site import IMPATIENT, Site
from tests.servers import eventually

LEASE_SECONDS = float(IMPATIENT["STEWARD_LEASE_SECONDS"])


@pytest.mark.parametrize(
    "point", ["claim.after_commit", "intent.after_commit", "registry.before_write@2"]
)
def test_19_zombie_writes_no_registry(site: Site, name: str, point: str) -> None:
    first = site.register(name, auc=0.86)
    site.await_verdict(name, first, "promoted")
    assert_sound(site, name)
    site.stop("worker-default")
    unread = len(site.log("worker-default"))
    point, _, time_ = point.partition("@")
    site.start("worker-default", failpoints=f"{point}=stop@{time_ or 1}", wait=False)

    with site.replicas(name) as fleet:
        second = site.register(name, auc=0.90)
        site.await_standstill("worker-default")
        stood_still = time.monotonic()
        with site.another("worker-default"):
            site.await_verdict(name, second, "promoted")
            third = site.register(name, auc=0.94)
            site.await_verdict(name, third, "promoted")
            eventually(lambda: [replica.version for replica in fleet] == [third] * 3, 30)
            assert time.monotonic() - stood_still > LEASE_SECONDS
            site.thaw("worker-default")
            eventually(lambda: has_lost_a_lease(site, unread=unread), 20, every_seconds=0.1)

        assert_sound(site, name, fleet=fleet)
        assert [replica.version for replica in fleet] == [third] * 3
    assert site.witness.of(name, "alias", "champion") == [first, second, third]
    assert site.witness.of(name, "stage", "Production") == [first, second, third]


def test_19_zombie_sends_no_message(site: Site, name: str) -> None:
    site.stop("worker-default")
    unread = len(site.log("worker-default"))
    site.start("worker-default", failpoints="effect.after_begin=stop", wait=False)
    version = site.register(name, auc=0.9)
    site.await_standstill("worker-default")
    stood_still = time.monotonic()

    with site.another("worker-default"):
        eventually(lambda: site.slack.titles(name), 30)
        assert time.monotonic() - stood_still > LEASE_SECONDS
        site.thaw("worker-default")
        eventually(lambda: has_lost_a_lease(site, unread=unread), 20, every_seconds=0.1)

    assert_sound(site, name)
    site.await_verdict(name, version, "promoted")
    [message] = site.slack.bodies(name)
    assert POSSIBLY_TWICE in message


def has_lost_a_lease(site: Site, *, unread: int) -> bool:
    """Whether the worker says so, in the log that it has written since, and in its metrics."""
    counted = site.metric("worker-default", "steward_attempts_total", outcome="lease_lost")
    return counted > 0 and '"lease_lost"' in site.log("worker-default")[unread:]
