"""Fault 19: a worker stands still for longer than its lease, and goes on after others took over.

Leases are 4 seconds here, not 60. The worker goes on when another has finished its work, and a
newer version is Production: from there, every late write would do harm.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.acceptance.faults.invariants import POSSIBLY_TWICE, assert_sound
from tests.acceptance.faults.looking import taken_from
from tests.acceptance.faults.oracle import FakeReplica
from tests.acceptance.faults.site import IMPATIENT, Site
from tests.servers import Answer, CapturedRequest, eventually

LEASE_SECONDS = float(IMPATIENT["STEWARD_LEASE_SECONDS"])


@pytest.mark.parametrize("when", ["before its intent", "between two writes"])
def test_19_zombie_writes_no_registry(site: Site, name: str, when: str) -> None:
    first = site.register(name, auc=0.86)
    site.await_verdict(name, first, "promoted")
    assert_sound(site, name)
    unread = len(site.log("worker-default"))

    with site.replicas(name) as fleet:
        stopped: list[float] = []
        if when == "before its intent":
            stop_at_prepare(site, fleet[0], stopped)
        else:
            stop_after_stage(site, name, "2", stopped)
        second = site.register(name, auc=0.90)
        eventually(lambda: stopped, 60)
        with site.another("worker-default"):
            site.await_verdict(name, second, "promoted")
            third = site.register(name, auc=0.94)
            site.await_verdict(name, third, "promoted")
            eventually(lambda: [replica.version for replica in fleet] == [third] * 3, 30)
            assert time.monotonic() - stopped[0] > LEASE_SECONDS
            site.thaw("worker-default")
            eventually(lambda: has_noticed(site, unread=unread), 20, every_seconds=0.1)

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
        eventually(lambda: has_noticed(site, unread=unread), 20, every_seconds=0.1)

    assert_sound(site, name)
    site.await_verdict(name, version, "promoted")
    [message] = site.slack.bodies(name)
    assert POSSIBLY_TWICE in message


def stop_at_prepare(site: Site, replica: FakeReplica, stopped: list[float]) -> None:
    """Stop the worker once, while it waits for this replica; nothing is intended yet."""

    def stop(call: str, _order: Mapping[str, Any]) -> None:
        if call == "prepare" and not stopped:
            site.freeze("worker-default")
            stopped.append(time.monotonic())

    replica.answers = stop


def stop_after_stage(site: Site, model: str, version: str, stopped: list[float]) -> None:
    """Stop the worker once its stage is written, before it hears of it and writes the alias."""

    def stop(request: CapturedRequest) -> Answer | None:
        if stopped or not request.path.endswith("/model-versions/transition-stage"):
            return None
        body = json.loads(request.body)
        if (body["name"], str(body["version"])) != (model, version):
            return None
        answer = site.witness.carry_out(request)
        site.freeze("worker-default")
        stopped.append(time.monotonic())
        return answer

    site.witness.fails = stop


def has_noticed(site: Site, *, unread: int) -> bool:
    """Whether the worker came to the end of all that was taken from it, and says so."""
    counted = site.metric("worker-default", "steward_attempts_total", outcome="lease_lost")
    logged = '"lease_lost"' in site.log("worker-default")[unread:]
    return logged and counted == taken_from(site, "worker-default")
