"""Fault 6: MLflow has two webhooks to the same address: each change is one event, and the second
delivery of it is filed under that."""

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import PATH, deliveries_of, events_of
from tests.acceptance.faults.site import SECRET, Site
from tests.models import client_of
from tests.servers import eventually


def test_06_two_webhooks_to_one_address(site: Site, name: str) -> None:
    client = client_of(site.mlflow.url)
    second = client.create_webhook(
        "the-second", f"{site.url}{PATH}", ["model_version.created"], secret=SECRET
    )
    site.stop("poller")  # so that each event is of a delivery
    try:
        versions = [site.register(name, auc=auc) for auc in (0.9, 0.95)]
        eventually(lambda: len(deliveries_of(site, name)) == 2 * len(versions), 30)
    finally:
        client.delete_webhook(second.webhook_id)
        site.start("poller")

    for version in versions:
        found = [each for each in deliveries_of(site, name) if each.version == version]
        assert sorted(each.outcome for each in found) == ["duplicate", "event"]
        assert len({each.event_id for each in found}) == 1
        assert len({each.delivery_id for each in found}) == 2
    site.await_verdict(name, versions[-1], "promoted")
    assert_sound(site, name)
    assert [event.version for event in events_of(site, name)] == versions
    promoted = [event.version for event in events_of(site, name, "model_version.promoted")]
    assert promoted[-1] == versions[-1]
