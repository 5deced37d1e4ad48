"""Fault 24: the clock of a worker is an hour ahead, that of a poller an hour behind.

Leases, retries and waits go by the database's clock, signatures by the receiver's; so nothing is
stolen, given up early or refused, and health names who is off. On PostgreSQL: processes that share
SQLite share a machine, and so a clock.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from steward.journal.schema import attempts, dispatches, events
from tests.acceptance.deliveries import created, deliver
from tests.acceptance.faults.invariants import assert_sound, rows
from tests.acceptance.faults.looking import journal_of, outcomes_of
from tests.acceptance.faults.oracle import FakeReplica
from tests.acceptance.faults.site import SECRET, Site
from tests.conftest import missing
from tests.servers import Answer, eventually

LONGER_THAN_A_LEASE = 7  # a lease is 4 s
SKEWED = {"worker-default": "+1h", "worker-validation": "+1h", "poller": "-1h"}
PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


def library() -> Path:
    """Debian's libfaketime for programs with threads."""
    found = [path for place in PLACES for path in Path("/").glob(place.lstrip("/"))]
    if not found:
        missing("libfaketime is missing: install the package faketime.")
    return found[0]


@pytest.fixture
def skewed_site(site_on_postgresql: Site) -> Iterator[Site]:
    site, preloaded = site_on_postgresql, str(library())
    for role, skew in SKEWED.items():
        site.stop(role)
        site.start(
            role,
            wait=False,
            LD_PRELOAD=preloaded,
            FAKETIME=skew,
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
    site.await_ready()
    try:
        yield site
    finally:
        for role in SKEWED:
            site.kill(role)  # libfaketime does not always let a thread's timed wait end
            site.start(role, wait=False)
        site.await_ready()


def test_24_clocks_are_an_hour_off(skewed_site: Site, name: str) -> None:
    site, waiting = skewed_site, f"{name}-waiting"
    expired = site.metric("poller", "steward_leases_expired_total")
    with site.replicas(name) as fleet:
        answer_slowly(fleet[0])
        version = site.register(name, auc=0.9)
        site.register(waiting, auc=None)
        eventually(lambda: site.verdict(waiting, "1") == "waiting", 120)
        site.await_verdict(name, version, "promoted")
        assert_sound(site, name, fleet=fleet)
        assert [replica.version for replica in fleet] == [version] * 3

    assert site.metric("poller", "steward_leases_expired_total") == expired
    for handler in ("validate", "promote"):
        assert outcomes_of(site, name, handler, version) == ["succeeded"]
    assert "expired" not in outcomes_of(site, name, "annotate", version)
    assert longest_attempt(site, name, waiting) > LONGER_THAN_A_LEASE
    assert site.verdict(waiting, "1") == "waiting"  # the hour that it may take is not over
    assert_signatures_judged_by_the_receiver(site, f"{name}-signed")
    assert_alarmed(site)


def answer_slowly(replica: FakeReplica) -> None:
    """Let the first call to reload, and so its handler, take longer than a lease."""
    told: list[str] = []

    def answers(call: str, order: Mapping[str, Any]) -> Answer | None:
        # From here on a heartbeat would tell it the version, before it is called.
        replica.is_beating = call != "prepare"
        if call != "reload" or told:
            return None
        told.append(order["version"])
        return Answer(503, b"later", after_seconds=LONGER_THAN_A_LEASE)

    replica.answers = answers


def longest_attempt(site: Site, *models: str) -> float:
    """Seconds that the longest attempt for these models took."""
    query = (
        select(attempts.c.started_at, attempts.c.ended_at)
        .join(dispatches, dispatches.c.id == attempts.c.dispatch_id)
        .join(events, events.c.id == dispatches.c.event_id)
        .where(events.c.model.in_(models), attempts.c.started_at.is_not(None))
    )
    with journal_of(site) as engine:
        return max((row.ended_at - row.started_at).total_seconds() for row in rows(engine, query))


def assert_signatures_judged_by_the_receiver(site: Site, model: str) -> None:
    now = deliver(site, created(model), secret=SECRET)
    old = deliver(site, created(model), secret=SECRET, age_seconds=3600)
    early = deliver(site, created(model), secret=SECRET, age_seconds=-3600)

    assert [answer.status_code for answer in (now, old, early)] == [202, 401, 401]
    assert_sound(site, model)


def assert_alarmed(site: Site) -> None:
    def skews() -> dict[str, set[int]]:
        told: dict[str, set[int]] = {}
        for each in site.api.get("/health").json()["processes"]:
            seconds = each["clock_skew_seconds"]
            if seconds is not None:
                told.setdefault(each["role"], set()).add(round(seconds / 600) * 600)
        return told

    eventually(lambda: skews().get("worker") == {3600} and skews().get("poller") == {-3600}, 60)
    health = site.api.get("/health").json()
    assert health["status"] == "degraded"
    assert any("clock" in problem for problem in health["problems"]), health["problems"]
    assert skews()["receiver"] == {0}
    for role in SKEWED:
        assert "clock_skewed" in site.log(role)
