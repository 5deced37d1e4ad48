"""Fault 4: MLflow dies with deliveries in its memory, because the receiver stood still: the poller
finds what was never delivered."""

import psutil

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.senders import deliveries_of, events_of, register_many
from tests.acceptance.faults.site import Site
from tests.servers import eventually

REGISTERED = 25
WORKERS = ("worker-default", "worker-validation")
THREADS = 10
"""As many deliveries as MLflow makes at a time; the others wait in its memory."""


def test_04_mlflow_killed_with_deliveries_in_its_pool(site: Site, name: str) -> None:
    counted = _counted(site)
    for worker in WORKERS:  # an MLflow that is away is another fault
        site.stop(worker)
    site.freeze("receiver")
    versions = register_many(site, name, REGISTERED, auc=0.9)
    eventually(lambda: _open_deliveries(site) >= THREADS, 30)

    site.mlflow.kill()
    site.thaw("receiver")
    site.mlflow.start()
    for worker in WORKERS:
        site.start(worker, wait=False)

    eventually(lambda: len(events_of(site, name)) == REGISTERED, 60)
    assert_sound(site, name, within=120)
    assert {event.version for event in events_of(site, name)} == set(versions)
    lost = REGISTERED - len({delivery.version for delivery in deliveries_of(site, name)})
    assert lost >= REGISTERED - THREADS
    assert _counted(site) - counted == lost


def _counted(site: Site) -> float:
    name = "steward_events_seen_by_poll_alone"
    return site.metric("receiver", name, type="model_version.created")


def _open_deliveries(site: Site) -> int:
    """How many connections MLflow's processes hold to the receiver."""
    assert site.mlflow.child is not None
    server = psutil.Process(site.mlflow.child.pid)
    return sum(
        connection.raddr.port == site.port
        for process in (server, *server.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.raddr
    )
