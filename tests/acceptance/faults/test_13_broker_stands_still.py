"""Fault 13: the broker takes connections and answers nothing, for 15 seconds (not 60).

Intake goes on as before, and what was hinted meanwhile is done soon after.
"""

import signal
import time

from tests.acceptance.deliveries import created, deliver
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import SECRET, Site
from tests.servers import eventually

STANDS_STILL_SECONDS = 15.0
DELIVERIES = 100
NOISE_SECONDS = 2.0
"""What neighbours may cost; a front door that waits for the broker pays 4 and more."""


def test_13_broker_stands_still(site: Site, name: str) -> None:
    assert site.broker is not None
    assert site.broker.child is not None
    acknowledged: dict[str, str | None] = {}
    p99_before = intake_p99(site, f"{name}-before", acknowledged)

    site.broker.child.send(signal.SIGSTOP)
    stood_still = time.monotonic()
    try:
        version = site.register(name, auc=0.9)
        p99_during = intake_p99(site, f"{name}-during", acknowledged)
        eventually(lambda: site.metric("receiver", "steward_broker_up") == 0, 20)
        eventually(lambda: time.monotonic() - stood_still > STANDS_STILL_SECONDS, 30)
        assert site.verdict(name, version) != "promoted"
    finally:
        site.broker.child.send(signal.SIGCONT)

    models = [name, f"{name}-before", f"{name}-during"]
    with site.supervised():
        site.await_verdict(name, version, "promoted", within=60)
        assert_sound(site, *models, acknowledged=acknowledged)
    assert len(acknowledged) == 2 * DELIVERIES
    assert p99_during < 2 * p99_before + NOISE_SECONDS, f"{p99_during:.3f} s, was {p99_before:.3f}"


def intake_p99(site: Site, model: str, acknowledged: dict[str, str | None]) -> float:
    """Deliver news of many versions one after the other; the 99th percentile of the seconds."""
    seconds = []
    for number in range(1, DELIVERIES + 1):
        delivery_id = f"{model}-{number}"
        began = time.monotonic()
        answer = deliver(site, created(model, str(number)), secret=SECRET, delivery_id=delivery_id)
        seconds.append(time.monotonic() - began)
        assert answer.status_code == 202
        acknowledged[delivery_id] = answer.json()["event_id"]
    return sorted(seconds)[int(len(seconds) * 0.99) - 1]
