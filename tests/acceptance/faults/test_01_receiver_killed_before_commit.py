"""Fault 1: the receiver dies with a delivery written and not committed: nobody was told that it is
safe, and whoever comes next, the sender again or the poller, brings it once."""

import pytest

from tests.acceptance.deliveries import created
from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import ask, deliveries_of, events_of, letter, unheard
from tests.acceptance.faults.site import Site


@pytest.mark.parametrize("comes_next", ["sender", "poller"])
@pytest.mark.parametrize("where", ["site", "site_on_postgresql"])
def test_01_receiver_killed_before_commit(
    request: pytest.FixtureRequest, name: str, where: str, comes_next: str
) -> None:
    site: Site = request.getfixturevalue(where)
    delivery_id = f"{name}-1"
    with unheard(site):
        version = site.register(name, auc=0.9)
        site.stop("receiver")
        site.start("receiver", failpoints="intake.before_commit=kill")

        answer = ask(site, letter(created(name, version), delivery_id=delivery_id))

        assert answer is None, answer
        site.await_death("receiver")
        assert deliveries_of(site, name) == []
        assert events_of(site, name) == []
        site.start("receiver")
        acknowledged: dict[str, str | None] = {}
        if comes_next == "sender":
            again = ask(site, letter(created(name, version), delivery_id=delivery_id))
            assert again is not None
            assert (again.status, again.document["duplicate"]) == (202, False)
            acknowledged[delivery_id] = again.document["event_id"]

    site.await_verdict(name, version, "promoted")
    assert_sound(site, name, acknowledged=acknowledged)
    (event,) = site.events(model=name, type="model_version.created")
    assert event["seen_by"] in ({"sender": ("webhook", "both"), "poller": ("poll",)}[comes_next])
