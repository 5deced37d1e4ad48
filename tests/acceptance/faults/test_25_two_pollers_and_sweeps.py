"""Fault 25: of two processes that poll and sweep, the leader stands still beyond its leases.

The other takes over; the one that comes back steps down. The poller's lease (30 s) is no setting,
so this takes as long.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from steward.journal.schema import leases
from tests.acceptance.faults.invariants import assert_sound, rows
from tests.acceptance.faults.looking import journal_of
from tests.acceptance.faults.site import Site
from tests.servers import beside, eventually
from webhook_receiver.poller import LEASE_SECONDS as POLLER_LEASE_SECONDS

LEASES = {"sweep", "poller/default"}


@dataclass
class Holders:
    """Who held each lease, sampled: (lease, token) -> the holders that were seen with it."""

    seen: dict[tuple[str, int], set[str]] = field(default_factory=dict)

    def holder(self, lease: str) -> str:
        """The last holder of a lease."""
        return next(iter(self.seen[lease, max(t for name, t in self.seen if name == lease)]))


@contextmanager
def sampled(site: Site) -> Iterator[Holders]:
    holders = Holders()

    def sample(stop: threading.Event) -> None:
        with journal_of(site) as engine:
            while not stop.wait(0.05):
                for row in rows(engine, select(leases).where(leases.c.name.in_(LEASES))):
                    holders.seen.setdefault((row.name, row.token), set()).add(row.holder)

    with beside(sample):
        yield holders


@pytest.fixture
def without_webhooks(site: Site) -> Iterator[None]:
    """Only the pollers can find what happens."""
    site.disconnect()
    try:
        yield
    finally:
        site.connect()


@pytest.mark.usefixtures("without_webhooks")
def test_25_the_leader_stands_still_and_comes_back(site: Site, name: str) -> None:
    models = [f"{name}-{n}" for n in range(6)]
    # Whoever was killed in an earlier test may hold a lease for a while.
    eventually(lambda: sweeps(site, "poller"), 20)
    polled = polls_of(site, "poller", "completed")
    eventually(lambda: polls_of(site, "poller", "completed") > polled, POLLER_LEASE_SECONDS + 10)
    with site.another("poller") as second, sampled(site) as holders:
        first_version = site.register(models[0], auc=0.9)
        site.await_verdict(models[0], first_version, "promoted")
        assert (sweeps(site, "poller"), sweeps(site, second)) == (True, False)
        assert polls_of(site, second, "completed") == 0
        leader = holders.holder("poller/default")

        site.freeze("poller")
        began = time.monotonic()
        try:
            site.register(models[1], auc=0.9)
            eventually(lambda: sweeps(site, second), 15)
            eventually(lambda: polls_of(site, second, "completed"), POLLER_LEASE_SECONDS + 10)
            assert time.monotonic() - began > 5  # not before its lease had ended
            site.register(models[2], auc=0.9)
        finally:
            site.thaw("poller")
        for model in models[3:]:
            site.register(model, auc=0.9)
        eventually(lambda: not sweeps(site, "poller"), 10)
        stood_by = polls_of(site, "poller", "standby")
        polled = polls_of(site, "poller", "completed")
        eventually(lambda: polls_of(site, "poller", "standby") > stood_by, 10)
        for model in models:
            site.await_verdict(model, "1", "promoted")
        assert polls_of(site, "poller", "completed") == polled
        assert sweeps(site, second)

        assert all(len(who) == 1 for who in holders.seen.values()), holders.seen
        assert {holders.holder(lease) for lease in LEASES}.isdisjoint({leader})
        assert_sound(site, *models)
        for model in models:
            assert len(site.events(model=model, type="model_version.created")) == 1


def sweeps(site: Site, role: str) -> bool:
    return site.metric(role, "steward_sweep_leader") == 1


def polls_of(site: Site, role: str, result: str) -> float:
    """How many polls of a process ended so."""
    return site.metric(role, "steward_polls_total", result=result)
