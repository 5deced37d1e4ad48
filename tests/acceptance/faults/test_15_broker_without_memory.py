"""Fault 15: the broker has no memory left: it gives messages away, and refuses every write.

A worker may die of it (kombu cannot note what it took); a supervisor, here the test, restarts it.
"""

import time

from tests.acceptance.faults.invariants import assert_sound
from tests.acceptance.faults.looking import queued, valkey_of
from tests.acceptance.faults.site import Site
from tests.servers import eventually

MODELS = 4
REFUSES_FOR_SECONDS = 8.0
WORKERS = ("worker-default", "worker-validation")


def test_15_broker_without_memory(site: Site, name: str) -> None:
    models = [f"{name}-{n}" for n in range(MODELS)]
    site.freeze("worker-validation")  # it waits for a message: one is given to it, others lie there
    for model in models:
        site.register(model, auc=0.90)
    eventually(lambda: queued(site, "validation") >= MODELS - 1, 20)
    unread = len(site.log("worker-validation"))
    failed = hints_that_failed(site)

    with valkey_of(site) as client:
        client.config_set("maxmemory", "1")
        try:
            site.thaw("worker-validation")
            for model in models:
                site.register(model, auc=0.95)
            eventually(lambda: hints_that_failed(site) > failed, 20)
            eventually(lambda: "OutOfMemory" in site.log("worker-validation")[unread:], 30)
            refused = time.monotonic()
            eventually(
                lambda: restarted(site) and time.monotonic() - refused > REFUSES_FOR_SECONDS, 30
            )
        finally:
            client.config_set("maxmemory", "0")

    eventually(
        lambda: restarted(site) and all(site.verdict(model, "2") == "promoted" for model in models),
        90,
        every_seconds=0.5,
    )
    assert_sound(site, *models)


def hints_that_failed(site: Site) -> float:
    """How many hints the receiver could not send."""
    return site.metric("receiver", "steward_hints_total", result="failed")


def restarted(site: Site) -> bool:
    """Start again whatever worker has died, as a supervisor does."""
    for worker in WORKERS:
        if not site.children[worker].is_alive():
            site.kill(worker)
            site.start(worker, wait=False)
    return True
