"""Fault 2: the receiver dies after the commit, before the sender has its answer."""

from contextlib import suppress

import httpx

from tests.acceptance.deliveries import created, deliver
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.site import SECRET, Site


def test_02_receiver_killed_after_commit(site: Site, name: str) -> None:
    site.stop("receiver")
    site.start("receiver", failpoints="intake.after_commit=kill")
    version = site.register(name, auc=0.9)  # MLflow's own delivery may be the one that kills it
    with suppress(httpx.TransportError):
        deliver(site, created(name, version), secret=SECRET, delivery_id="02-again")
    site.await_death("receiver")
    site.start("receiver")

    answer = deliver(site, created(name, version), secret=SECRET, delivery_id="02-again")

    assert answer.status_code == 202
    assert answer.json()["duplicate"]
    site.await_verdict(name, version, "promoted")
    assert_sound(site, name, acknowledged={"02-again": answer.json()["event_id"]})
    assert len(site.events(model=name, type="model_version.created")) == 1
