"""Fault 2: the receiver dies after the commit, before the sender has its answer: the delivery is
safe all the same, and when it comes again it is known."""

import pytest

from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import ask, deliveries_of, letter, unheard
from tests.acceptance.faults.site import Site


@pytest.mark.parametrize("where", ["site", "site_on_postgresql"])
def test_02_receiver_killed_after_commit(
    request: pytest.FixtureRequest, name: str, where: str
) -> None:
    site: Site = request.getfixturevalue(where)
    delivery_id = f"{name}-1"
    with unheard(site):
        version = site.register(name, auc=0.9)
        site.stop("receiver")
        site.start("receiver", failpoints="intake.after_commit=kill")

        answer = ask(site, letter(created(name, version), delivery_id=delivery_id))

        assert answer is None, answer
        site.await_death("receiver")
        (durable,) = deliveries_of(site, name)
        assert (durable.delivery_id, durable.outcome) == (delivery_id, "event")
        site.start("receiver")
        again = ask(site, letter(created(name, version), delivery_id=delivery_id))

    assert again is not None
    assert again == (202, {"event_id": durable.event_id, "duplicate": True})
    site.await_verdict(name, version, "promoted")
    assert_sound(site, name, acknowledged={delivery_id: durable.event_id})
    assert len(deliveries_of(site, name)) == 1
    assert len(site.events(model=name, type="model_version.created")) == 1
