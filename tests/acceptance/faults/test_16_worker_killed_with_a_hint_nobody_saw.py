"""Fault 16: a worker is killed after the broker gave it a hint that it never read.

Redis gives a waiting worker the message and forgets it before the worker has noted it anywhere.
"""

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import lose_hints, outcomes_of, queued
from tests.acceptance.faults.site import Site
from tests.servers import eventually


def test_16_worker_killed_with_a_hint_nobody_saw(site: Site, name: str) -> None:
    first = site.register(name, auc=0.86)
    site.await_verdict(name, first, "promoted")
    assert_sound(site, name)
    repeated = site.metric("poller", "steward_sweep_hints_total")

    site.freeze("worker-validation")  # it waits in BRPOP, for which Redis has a second's patience
    sent = site.metric("receiver", "steward_hints_total", result="sent")
    second = site.register(name, auc=0.90)
    eventually(lambda: site.metric("receiver", "steward_hints_total", result="sent") > sent, 60)
    lose_hints(site, "validation")  # where the second was over first
    assert queued(site, "validation") == 0
    assert outcomes_of(site, name, "validate", second) == []
    site.kill("worker-validation")
    site.start("worker-validation")

    site.await_verdict(name, second, "promoted", within=90)
    assert_sound(site, name)
    assert outcomes_of(site, name, "validate", second) == ["succeeded"]
    assert site.metric("poller", "steward_sweep_hints_total") > repeated
